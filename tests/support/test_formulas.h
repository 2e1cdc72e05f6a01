/* Pictures defined by the formulas of golden/formulas.py, so that golden files contain results only. Each
 * value is 0..255, a function of position, channel and size. */
#ifndef P2P_TEST_FORMULAS_H
#define P2P_TEST_FORMULAS_H

typedef int (*test_formula)(int x, int y, int c, int w, int h);

/* noise, steps, photo, or a worse copy of photo: grain, moved, dark, flat. An unknown name fails the test. */
test_formula test_formula_named(const char *name);

#endif
