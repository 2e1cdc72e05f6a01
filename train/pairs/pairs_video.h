/* `p2p pairs video`: the frames of a video as pictures, by the program ffmpeg. */
#ifndef P2P_PAIRS_VIDEO_H
#define P2P_PAIRS_VIDEO_H

#include "options/options.h"

/* Write OUT/NAME-000001.png and so on, where NAME is the video's without suffix, --fps frames per second.
 * P2P_USAGE if the first of them exists; the frames of an interrupted run are completed. P2P_FAILED if ffmpeg
 * is not installed, P2P_INPUT if it can't read the video. */
p2p_status pairs_video(const settings *all, const char *video, const char *out);

#endif
