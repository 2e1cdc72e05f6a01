/* A shared object that is not a backend: it exports nothing. */
int blank_value(void);

int blank_value(void) {
    return 0;
}
