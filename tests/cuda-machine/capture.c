/* Captures of streams: only their rules. What is forbidden while a stream is captured is refused. Captured
 * commands are counted and dropped, and the graph that a capture returns can only be destroyed.
 */
#include "driver.h"

#include <stdlib.h>

struct CUgraph_st {
    int commands;
    CUgraph next;
};

static CUgraph graphs;
static _Thread_local int captures; /* that this thread has begun and not ended */

CUresult driver_check_no_capture(void) {
    if (captures == 0) return CUDA_SUCCESS;
    return driver_refuse(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED,
                         "a stream is being captured, which the call would end");
}

CUresult driver_check_not_captured(CUstream stream) {
    if (!stream->captured) return CUDA_SUCCESS;
    return driver_refuse(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "the stream is being captured");
}

void driver_capture(driver_command *command) {
    command->stream->captured->commands++;
    if (command->record) command->record->done = true;
    if (command->launch) command->drop(command->data);
    driver_drop_command(command);
}

static CUresult begin(CUstream stream, CUstreamCaptureMode mode) {
    CUresult result = driver_check_stream(stream);
    if (result == CUDA_SUCCESS) result = driver_check_not_captured(stream);
    if (result != CUDA_SUCCESS) return result;
    if (mode != CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)
        return driver_refuse(CUDA_ERROR_INVALID_VALUE,
                             "mode %d: another thread's allocation would end the capture", (int)mode);
    CUgraph graph = calloc(1, sizeof *graph);
    if (!graph) return CUDA_ERROR_OUT_OF_MEMORY;
    stream->captured = graph;
    stream->capturer = pthread_self();
    captures++;
    return CUDA_SUCCESS;
}

CUresult CUDAAPI cuStreamBeginCapture(CUstream stream, CUstreamCaptureMode mode) {
    CUresult result = driver_enter("cuStreamBeginCapture_v2", DRIVER_WORKS, NULL);
    if (result != CUDA_SUCCESS) return result;
    return driver_leave(begin(stream, mode));
}

static CUresult end(CUstream stream, CUgraph *graph) {
    const CUresult result = driver_check_stream(stream);
    if (result != CUDA_SUCCESS) return result;
    if (!stream->captured) return driver_refuse(CUDA_ERROR_ILLEGAL_STATE, "the stream is not captured");
    if (!pthread_equal(stream->capturer, pthread_self()))
        return driver_refuse(CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD, "another thread began the capture");
    captures--;
    stream->captured->next = graphs;
    *graph = graphs = stream->captured;
    stream->captured = NULL;
    return CUDA_SUCCESS;
}

CUresult CUDAAPI cuStreamEndCapture(CUstream stream, CUgraph *graph) {
    CUresult result = driver_enter("cuStreamEndCapture", DRIVER_WORKS, NULL);
    if (result != CUDA_SUCCESS) return result;
    return driver_leave(end(stream, graph));
}

CUresult CUDAAPI cuGraphDestroy(CUgraph graph) {
    CUresult result = driver_enter("cuGraphDestroy", DRIVER_ENDS, NULL);
    if (result != CUDA_SUCCESS) return result;
    CUgraph *link = &graphs;
    while (*link && *link != graph) link = &(*link)->next;
    if (!*link) return driver_leave(driver_refuse(CUDA_ERROR_INVALID_VALUE, "the graph is not alive"));
    *link = graph->next;
    free(graph);
    return driver_leave(CUDA_SUCCESS);
}
