/* Reading the environment variables. See cuda_environment.h. */
#include "cuda_environment.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const double default_timeout = 120;
static double limited_timeout = -1, limited_deterministic = -1; /* negative: none */

void cuda_environment_limit_timeout(double seconds) {
    limited_timeout = seconds;
}

void cuda_environment_limit_deterministic(double on) {
    limited_deterministic = on;
}

static double read_timeout(cuda_environment *e) {
    const char *text = getenv("P2P_CUDA_TIMEOUT");
    char *end = NULL;
    if (!text || text[0] == '\0') return default_timeout;
    const double value = strtod(text, &end);
    if (*end == '\0' && isfinite(value) && value >= 0) return value;
    snprintf(e->problem, sizeof e->problem, "P2P_CUDA_TIMEOUT is '%.64s', but must be a number, at least 0",
             text);
    return default_timeout;
}

cuda_environment cuda_environment_read(void) {
    cuda_environment e = {0};
    e.timeout = limited_timeout >= 0 ? limited_timeout : read_timeout(&e);
    e.deterministic = limited_deterministic > 0;
    return e;
}
