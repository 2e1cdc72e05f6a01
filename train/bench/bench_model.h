/* The time of a training step on many devices, computed from its segments and from the speed of links.
 *
 * Nothing is measured here, and no device is used: bench_predict.c measures segments. A reduction is a ring
 * all-reduce in each node and between nodes. Reductions run one after the other, beside the segments; a
 * segment begins when those that it needs are complete, as plan_run.c orders them.
 */
#ifndef P2P_BENCH_MODEL_H
#define P2P_BENCH_MODEL_H

#include <stdbool.h>
#include <stdint.h>

/* Operations that a device runs without a wait. */
typedef struct {
    double seconds;
    int needed;   /* it begins after so many of the step's reductions, counted from the first */
    double bytes; /* of the reduction that starts after it, on each device; 0: none */
} model_segment;

/* One direction of a device's, or a node's, connection. */
typedef struct {
    const char *name; /* NULL: there is none */
    double bytes_per_s;
    double hop_s; /* latency of each of a ring's steps */
} model_link;

/* Nodes of up to `node` devices with links of the kind `inside`. Each node has one connection `between`
 * nodes.
 */
typedef struct {
    const char *name;
    int node;
    model_link inside, between;
} model_machine;

/* NVLink and PCIe in one node; 10, 100 and 400 Gb Ethernet between nodes of eight devices on NVLink. */
const model_machine *model_machines(int *count);
/* Whether the machine can have so many devices: a node's, or whole nodes. */
bool model_has(const model_machine *machine, int64_t devices);

/* Seconds of a reduction by what takes them; their sum is its time. */
typedef struct {
    double latency;         /* of hops, and of starting it */
    double inside, between; /* of bytes on each link */
} model_cost;

/* The cost of reducing `bytes` over `devices` of the machine, which has them; 0 for one device.
 *
 * A ring of n passes 2 (n - 1) pieces of B / n bytes one after the other, which is the least that the
 * bandwidth of a device permits (Patarasuk and Yuan, "Bandwidth optimal all-reduce algorithms for clusters of
 * workstations", 2009; the cost model of Thakur, Rabenseifner and Gropp, "Optimization of collective
 * communication operations in MPICH", 2005):
 *
 *     T(n, B) = 2 (n - 1) (hop + B / (n rate))
 *
 * Over m nodes of g devices: each node scatters its sum over its devices, which takes half of T(g, B) inside;
 * all devices with the same piece reduce it over the nodes, in rings that share each node's connection, so
 * that together they pass B bytes: T(m, B) between; each node gathers, the other half of T(g, B). So
 *
 *     T = start + T(g, B) inside + T(m, B) between
 *
 * with `start` = 8.4 us, NCCL's figure for starting a ring. NCCL chooses trees for small reductions over many
 * nodes, whose latency grows with log2(m) only: with them latency is less than this. */
model_cost model_reduction(const model_machine *machine, double bytes, int64_t devices);
double model_seconds(const model_cost *cost);

/* A step on many devices. */
typedef struct {
    double seconds;
    double computed; /* of it, in segments; the rest is waiting */
    double reduced;  /* of all reductions, hidden or not */
    /* The reduction that delayed a segment the longest, in itself or by those before it that were under way:
     * of these the longest one. -1 if nothing waited. */
    int worst;
} model_step;

enum { MODEL_MOST_REDUCTIONS = 256 };

/* The step of these segments, whose reductions, in order, take reductions[0], ... seconds. There are at most
 * MODEL_MOST_REDUCTIONS. The step ends when all are complete. */
model_step model_run(const model_segment *segments, int count, const double *reductions);

#endif
