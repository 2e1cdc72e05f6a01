/* A shared object that is no backend: it exports nothing. */
int blank_value(void);

int blank_value(void) {
    return 0;
}
