/* The devices of one command: a replica of its session for each. */
#ifndef P2P_SETUP_DEVICES_H
#define P2P_SETUP_DEVICES_H

#include "options/options.h"
#include "p2p.h"

/* The limits of a process, and of all processes that train together. */
enum { SETUP_MOST_DEVICES = SETTINGS_MAX_DEVICES, SETUP_MOST_REPLICAS = 1024 };

/* A device that was named several times is opened once, and is several entries of the list. */
typedef struct {
    p2p_device *list[SETUP_MOST_DEVICES];
    int count;
    p2p_precision precision;        /* of sessions on them */
    const p2p_processes *processes; /* for a session that has replicas in other processes; NULL: none */
} setup_devices;

/* The number of devices that --gpus, or the list of --device, requests. Opens none. */
int setup_devices_asked(const settings *all);
/* The same of all ranks. */
int setup_replicas_asked(const settings *all);

/* P2P_USAGE if --backend can't be the name of one. */
p2p_status setup_backend_check(const settings *all);

/* Open the devices of --backend, --device and --gpus, and print a line for each on stderr, and one for the
 * precision unless it is fp32. --precision auto is tf32 if that is fast on all of them, else fp32.
 * --gpus N takes the first N usable devices that are of the type of the best one and of its backend; of
 * several ranks on a machine each takes the next N, and begins again at the first after the last, because a
 * launcher may show each rank others. P2P_USAGE if the options contradict each other, P2P_NO_DEVICE if there
 * are fewer devices, P2P_UNSUPPORTED if one does not have the precision. Nothing is open after a failure. */
p2p_status setup_devices_open(const settings *all, setup_devices *devices);
void setup_devices_close(setup_devices *devices);

/* P2P_USAGE if more than one device is requested. */
p2p_status setup_devices_one(const settings *all);
/* Open the device of a command that uses one, without a session. P2P_USAGE as setup_devices_one. */
p2p_status setup_device_open(const settings *all, p2p_device **device);

/* How often the list has device `index`; 0 if it is in the list before. */
int setup_devices_times(const setup_devices *devices, int index);

/* "opencl:0", or "opencl:0, opencl:1 and opencl:2". */
void setup_devices_print(const setup_devices *devices, char *text, size_t size);

/* Whether a rank's launcher leaves it fewer than two processors for each of its devices, while the ranks of
 * its machine together leave some unused: one reads pictures while another gives commands. */
bool setup_few_processors(int allowed, int of_machine, int ranks_of_machine, int devices);

#endif
