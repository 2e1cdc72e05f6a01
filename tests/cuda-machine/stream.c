/* Streams and their commands. A command runs only when it, or a later command, is waited for, or when
 * DRIVER_QUEUE commands wait; then in an order drawn among those that streams and events permit. So a result
 * that the program takes without waiting for it isn't there. */
#include "driver.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

CUstream driver_streams;
static bool slot_used[DRIVER_STREAMS];
static uint32_t
    slot_number[DRIVER_STREAMS]; /* of the last command; continues when another stream gets the slot */
static uint64_t order, device_time[DRIVER_DEVICES];
static int pending;

/* ---- Records ------------------------------------------------------------------------------------------- */

driver_record *driver_new_record(void) {
    driver_record *record = calloc(1, sizeof *record);
    if (!record) abort();
    record->users = 1;
    return record;
}

void driver_drop_record(driver_record *record) {
    if (record && --record->users == 0) free(record);
}

/* ---- Commands ------------------------------------------------------------------------------------------ */

driver_command *driver_new_command(CUstream stream, driver_kind kind, const char *what) {
    driver_command *command = calloc(1, sizeof *command);
    if (!command) abort();
    command->kind = kind;
    command->stream = stream;
    snprintf(command->what, sizeof command->what, "%s", what);
    return command;
}

void driver_drop_command(driver_command *command) {
    driver_drop_record(command->record);
    free(command->ranges);
    free(command->data);
    free(command);
}

CUresult driver_set_ranges(driver_command *command, const machine_range *ranges, int count) {
    command->ranges = calloc((size_t)count + 1, sizeof *ranges);
    if (!command->ranges) abort();
    for (int i = 0; i < count; i++) {
        if (ranges[i].bytes == 0) continue;
        CUresult result =
            driver_check_range(command->stream->device, ranges[i].what, ranges[i].begin, ranges[i].bytes);
        if (result != CUDA_SUCCESS) return result;
        command->ranges[command->range_count++] = ranges[i];
    }
    return CUDA_SUCCESS;
}

static void run_until_below(int limit);

void driver_give(driver_command *command) {
    CUstream stream = command->stream;
    if (stream->captured) {
        driver_capture(command);
        return;
    }
    driver_clock_join(&stream->clock, &driver_host_clock);
    if (command->kind == DRIVER_WAIT) driver_clock_join(&stream->clock, &command->record->clock);
    command->number = ++slot_number[stream->slot];
    command->order = ++order;
    stream->clock.at[stream->slot] = command->number;
    command->clock = stream->clock;
    if (command->kind == DRIVER_RECORD) command->record->clock = command->clock;
    if (stream->last)
        stream->last->next = command;
    else
        stream->first = command;
    stream->last = command;
    stream->pending++;
    pending++;
    driver_wake();
    if (pending > DRIVER_QUEUE) run_until_below(DRIVER_QUEUE / 2);
}

static void take_first(CUstream stream) {
    driver_command *command = stream->first;
    stream->first = command->next;
    if (!stream->first) stream->last = NULL;
    stream->pending--;
    pending--;
}

/* A command that will not run: its device is lost. A wait for it returns the error. */
static void skip_command(driver_command *command) {
    if (command->kind == DRIVER_RECORD) command->record->done = true;
    if (command->drop) command->drop(command->data);
    driver_drop_command(command);
}

void driver_drop_pending(int device) {
    for (CUstream stream = driver_streams; stream; stream = stream->next) {
        while (stream->device == device && stream->first) {
            driver_command *command = stream->first;
            take_first(stream);
            skip_command(command);
        }
    }
}

/* The footprint of a command that states its ranges. */
static void state_footprint(const driver_command *command, driver_footprint *footprint) {
    const size_t count = (size_t)command->range_count;
    *footprint = (driver_footprint){0};
    if (count == 0) return;
    footprint->reads = calloc(count, sizeof *footprint->reads);
    footprint->writes = calloc(count, sizeof *footprint->writes);
    if (!footprint->reads || !footprint->writes) abort();
    for (size_t i = 0; i < count; i++) {
        const machine_range *range = &command->ranges[i];
        const driver_interval interval = {range->begin, range->begin + range->bytes};
        if (range->access & MACHINE_READ) footprint->reads[footprint->read_count++] = interval;
        if (range->access & MACHINE_WRITE) footprint->writes[footprint->write_count++] = interval;
    }
    footprint->read_count = driver_merge(footprint->reads, footprint->read_count);
    footprint->write_count = driver_merge(footprint->writes, footprint->write_count);
}

static uint64_t spent; /* by the command that runs */

void machine_spend(uint64_t nanoseconds) {
    spent += nanoseconds;
}

/* Runs host code as a command; the machine's clock advances by what the bytes would take at 1 TB/s, and by
 * what the code spends. */
static uint64_t run_stated(driver_command *command, driver_footprint *footprint) {
    state_footprint(command, footprint);
    uint64_t bytes = 0;
    for (int i = 0; i < command->range_count; i++) {
        const machine_range *range = &command->ranges[i];
        CUresult result =
            driver_check_range(command->stream->device, range->what, range->begin, range->bytes);
        if (result != CUDA_SUCCESS) {
            machine_lose_device(command->stream->device, CUDA_ERROR_ILLEGAL_ADDRESS, command->what);
            return 0;
        }
        bytes += range->bytes;
    }
    spent = 0;
    if (command->run) command->run(command->data);
    for (int i = 0; i < command->range_count; i++)
        if (command->ranges[i].access & MACHINE_WRITE)
            driver_mark_written(command->ranges[i].begin, command->ranges[i].bytes);
    return bytes / 1000 + spent;
}

static void execute(driver_command *command) {
    const int device = command->stream->device;
    uint64_t *now = &device_time[device];
    if (command->kind == DRIVER_RECORD) {
        command->record->done = true;
        command->record->time = *now;
    } else if (command->kind == DRIVER_RUN) {
        driver_footprint footprint = {0};
        *now +=
            2000 + (command->launch ? command->launch(command, &footprint) : run_stated(command, &footprint));
        driver_check_races(command, &footprint);
        driver_plant_command(command->stream);
    }
    driver_drop_command(command);
}

static bool is_ready(const driver_command *command) {
    if (command->stream->hangs) return false;
    if (command->kind == DRIVER_WAIT) return command->record->done;
    return !command->ready || command->ready(command->data);
}

/* Runs one command, in the order given or drawn; false if none can run. */
bool driver_step(void) {
    CUstream ready[DRIVER_STREAMS], chosen = NULL;
    int count = 0;
    for (CUstream stream = driver_streams; stream; stream = stream->next)
        if (stream->first && is_ready(stream->first)) ready[count++] = stream;
    if (count == 0) return false;
    for (int i = 0; i < count; i++)
        if (!chosen || ready[i]->first->order < chosen->first->order) chosen = ready[i];
    if (driver_setting.seed) chosen = ready[machine_draw() % (unsigned)count];
    driver_command *command = chosen->first;
    take_first(chosen);
    execute(command);
    return true;
}

/* Runs a command, or waits for other threads and processes until one can run. False: it never will. */
static bool step_or_wait(struct timespec *since) {
    struct timespec now;
    if (driver_step()) {
        since->tv_sec = 0;
        return true;
    }
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (since->tv_sec == 0) *since = now;
    if (now.tv_sec - since->tv_sec > driver_setting.patience) return false;
    driver_pause();
    return true;
}

static void give_up(int device, const char *what) {
    char text[300];
    snprintf(text, sizeof text, "%s never runs: it waits for what never comes", what);
    machine_refuse("%s: %s", driver_call(), text);
    machine_lose_device(device, CUDA_ERROR_LAUNCH_TIMEOUT, text);
}

void driver_drain(CUstream stream) {
    struct timespec since = {0};
    while (stream->first)
        if (!step_or_wait(&since)) give_up(stream->device, stream->first->what);
}

void driver_wait_record(driver_record *record, int device) {
    struct timespec since = {0};
    record->users++;
    while (!record->done)
        if (!step_or_wait(&since)) give_up(device, "cuEventRecord");
    driver_drop_record(record);
}

static void run_until_below(int limit) {
    while (pending > limit && driver_step()) {
    }
}

const char *driver_pending_use(const driver_allocation *allocation) {
    for (CUstream stream = driver_streams; stream; stream = stream->next)
        for (const driver_command *command = stream->first; command; command = command->next) {
            for (int i = 0; i < command->range_count; i++)
                if (command->ranges[i].begin - allocation->begin < allocation->bytes) return command->what;
            if (command->launch && driver_kernel_uses(command, allocation)) return command->what;
        }
    return NULL;
}

/* ---- Streams ------------------------------------------------------------------------------------------- */

static bool is_stream(CUstream handle) {
    CUstream stream = driver_streams;
    while (stream && stream != handle) stream = stream->next;
    return stream != NULL;
}

int machine_stream_device(CUstream stream) {
    driver_lock();
    const int device = is_stream(stream) ? stream->device : -1;
    driver_unlock();
    return device;
}

CUresult driver_check_stream(CUstream stream) {
    if (!stream || stream == CU_STREAM_LEGACY || stream == CU_STREAM_PER_THREAD)
        return driver_refuse(CUDA_ERROR_INVALID_HANDLE, "the NULL stream");
    if (!is_stream(stream)) return driver_refuse(CUDA_ERROR_INVALID_HANDLE, "the stream is not alive");
    const CUcontext context = driver_current();
    if (stream->context != context)
        return driver_refuse(CUDA_ERROR_INVALID_CONTEXT,
                             "the stream is of device %d, the current context of %d", stream->device,
                             context ? context->device : -1);
    return CUDA_SUCCESS;
}

int driver_live_streams(int device) {
    int count = 0;
    for (CUstream stream = driver_streams; stream; stream = stream->next) count += stream->device == device;
    return count;
}

static CUresult new_stream(CUstream *stream, unsigned flags, int device) {
    if (flags != CU_STREAM_NON_BLOCKING)
        return driver_refuse(CUDA_ERROR_INVALID_VALUE, "flags %u: the NULL stream would wait for the stream",
                             flags);
    int slot = 0;
    while (slot < DRIVER_STREAMS && slot_used[slot]) slot++;
    if (slot == DRIVER_STREAMS)
        return driver_refuse(CUDA_ERROR_OUT_OF_MEMORY, "more than %d streams", DRIVER_STREAMS);
    CUstream made = calloc(1, sizeof *made);
    if (!made) return CUDA_ERROR_OUT_OF_MEMORY;
    *made = (struct CUstream_st){.context = driver_current(), .device = device, .slot = slot, .flags = flags};
    slot_used[slot] = true;
    CUstream *end = &driver_streams;
    while (*end) end = &(*end)->next;
    *end = made;
    *stream = made;
    return CUDA_SUCCESS;
}

static void free_stream(CUstream stream) {
    CUstream *link = &driver_streams;
    while (*link != stream) link = &(*link)->next;
    *link = stream->next;
    slot_used[stream->slot] = false;
    free(stream);
}

void driver_release_streams(int device) {
    driver_drop_pending(device);
    for (CUstream stream = driver_streams, next; stream; stream = next) {
        next = stream->next;
        if (stream->device == device) free_stream(stream);
    }
}

CUresult CUDAAPI cuStreamCreate(CUstream *stream, unsigned flags) {
    int device;
    CUresult result = driver_enter("cuStreamCreate", DRIVER_WORKS, &device);
    if (result != CUDA_SUCCESS) return result;
    return driver_leave(new_stream(stream, flags, device));
}

CUresult CUDAAPI cuStreamCreateWithPriority(CUstream *stream, unsigned flags, int priority) {
    int device;
    CUresult result = driver_enter("cuStreamCreateWithPriority", DRIVER_WORKS, &device);
    if (result != CUDA_SUCCESS) return result;
    (void)priority; /* a hint: any order that is permitted may come anyway */
    return driver_leave(new_stream(stream, flags, device));
}

CUresult CUDAAPI cuCtxGetStreamPriorityRange(int *least, int *greatest) {
    CUresult result = driver_enter("cuCtxGetStreamPriorityRange", DRIVER_WORKS, NULL);
    if (result != CUDA_SUCCESS) return result;
    if (least) *least = 0;
    if (greatest) *greatest = -5;
    return driver_leave(CUDA_SUCCESS);
}

CUresult CUDAAPI cuStreamDestroy(CUstream stream) {
    CUresult result = driver_enter("cuStreamDestroy_v2", DRIVER_ENDS, NULL);
    if (result != CUDA_SUCCESS) return result;
    result = driver_check_stream(stream);
    if (result == CUDA_SUCCESS) result = driver_check_not_captured(stream);
    if (result != CUDA_SUCCESS) return driver_leave(result);
    if (stream->pending) {
        result = driver_refuse(CUDA_ERROR_ILLEGAL_STATE, "%d commands have not run, the first of them %s",
                               stream->pending, stream->first->what);
        driver_drain(stream);
    }
    driver_clock_join(&driver_host_clock, &stream->clock);
    free_stream(stream);
    return driver_leave(result);
}

CUresult CUDAAPI cuStreamSynchronize(CUstream stream) {
    int device;
    CUresult result = driver_enter("cuStreamSynchronize", DRIVER_WORKS, &device);
    if (result != CUDA_SUCCESS) return result;
    result = driver_check_stream(stream);
    if (result == CUDA_SUCCESS) result = driver_check_not_captured(stream);
    if (result != CUDA_SUCCESS) return driver_leave(result);
    const driver_clock waited = stream->clock;
    driver_drain(stream);
    driver_clock_join(&driver_host_clock, &waited);
    driver_prune_history();
    return driver_leave(driver_result(device));
}

CUresult CUDAAPI cuStreamQuery(CUstream stream) {
    int device;
    CUresult result = driver_enter("cuStreamQuery", DRIVER_WORKS, &device);
    if (result != CUDA_SUCCESS) return result;
    result = driver_check_stream(stream);
    if (result == CUDA_SUCCESS) result = driver_check_not_captured(stream);
    if (result != CUDA_SUCCESS) return driver_leave(result);
    driver_step();
    if (stream->first)
        return driver_leave(driver_result(device) ? driver_result(device) : CUDA_ERROR_NOT_READY);
    driver_clock_join(&driver_host_clock, &stream->clock);
    return driver_leave(driver_result(device));
}

/* ---- Commands of the libraries' doubles ---------------------------------------------------------------- */

CUresult machine_enqueue_when(CUstream stream, const char *what, const machine_range *ranges, int count,
                              machine_ready *ready, machine_run *run, machine_run *drop, const void *data,
                              size_t bytes) {
    CUresult result = driver_enter(what, DRIVER_GIVES, NULL);
    if (result != CUDA_SUCCESS) return result;
    result = driver_check_stream(stream);
    if (result != CUDA_SUCCESS) return driver_leave(result);
    driver_command *command = driver_new_command(stream, DRIVER_RUN, what);
    result = driver_set_ranges(command, ranges, count);
    if (result != CUDA_SUCCESS) {
        driver_drop_command(command);
        return driver_leave(result);
    }
    command->data = malloc(bytes + 1);
    if (!command->data) abort();
    if (bytes) memcpy(command->data, data, bytes);
    command->ready = ready;
    command->run = run;
    command->drop = drop;
    driver_give(command);
    return driver_leave(CUDA_SUCCESS);
}

CUresult machine_enqueue(CUstream stream, const char *what, const machine_range *ranges, int count,
                         machine_run *run, const void *data, size_t bytes) {
    return machine_enqueue_when(stream, what, ranges, count, NULL, run, NULL, data, bytes);
}
