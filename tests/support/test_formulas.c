/* The formulas of golden/formulas.py. See test_formulas.h. */
#include "test_formulas.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static uint32_t scramble(uint32_t value) {
    value = (value ^ (value >> 16)) * UINT32_C(0x7FEB352D);
    value = (value ^ (value >> 15)) * UINT32_C(0x846CA68B);
    return value ^ (value >> 16);
}

static int clamp(int value) {
    return value < 0 ? 0 : value > 255 ? 255 : value;
}

static int noise(int x, int y, int c, int w, int h) {
    (void)w;
    (void)h;
    return (int)(scramble((uint32_t)x * 3u + (uint32_t)y * 98304u + (uint32_t)c) >> 24);
}

static int steps(int x, int y, int c, int w, int h) {
    (void)w;
    (void)h;
    return 255 * ((x / 3 + y / 2 + c) & 1);
}

static int photo(int x, int y, int c, int w, int h) {
    int dx = 2 * x + 1 - w, dy = 2 * y + 1 - h, radius = (w < h ? w : h) * 7 / 10 + 1;
    int value = 40 + 90 * x / w + (60 + 20 * c) * y / h;
    if (dx * dx + dy * dy < radius * radius) {
        int shifted = dx + radius / 2;
        value = 235 - 45 * c - 150 * (shifted * shifted + dy * dy) / (3 * radius * radius);
    }
    return clamp(value + noise(x, y, c, w, h) / 16 - 8);
}

static int grain(int x, int y, int c, int w, int h) {
    return clamp(photo(x, y, c, w, h) + noise(x + 5, y + 3, c, w, h) / 5 - 25);
}

static int moved(int x, int y, int c, int w, int h) {
    return photo(x + 1, y, c, w, h);
}

static int dark(int x, int y, int c, int w, int h) {
    return photo(x, y, c, w, h) / 2;
}

static int flat(int x, int y, int c, int w, int h) {
    (void)x;
    (void)y;
    (void)w;
    (void)h;
    return 90 + 20 * c;
}

test_formula test_formula_named(const char *name) {
    static const struct {
        const char *name;
        test_formula formula;
    } formulas[] = {{"noise", noise}, {"steps", steps}, {"photo", photo}, {"grain", grain},
                    {"moved", moved}, {"dark", dark},   {"flat", flat}};
    for (size_t i = 0; i < sizeof formulas / sizeof *formulas; i++)
        if (strcmp(name, formulas[i].name) == 0) return formulas[i].formula;
    fail_msg("there is no formula %s", name);
    return NULL;
}
