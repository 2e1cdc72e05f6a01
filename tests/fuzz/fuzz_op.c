/* The text of an operation, and of a tensor: what is parsed is printed and parsed to the same. */
#include "fuzz.h"

#include "p2p_op.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check_tensor(const char *text) {
    p2p_tensor tensor, again;
    char printed[P2P_TENSOR_TEXT];
    if (p2p_tensor_parse(text, &tensor) != P2P_OK) return;
    p2p_tensor_print(&tensor, printed, sizeof printed);
    fuzz_require(p2p_tensor_parse(printed, &again) == P2P_OK, "a printed tensor is parsed");
    fuzz_require(p2p_tensor_equal(&tensor, &again), "to the same");
}

static void check_operation(const char *text) {
    p2p_op op, again;
    char printed[P2P_OP_TEXT], part[16];
    if (p2p_op_parse(text, &op) != P2P_OK) return;
    const int length = p2p_op_print(&op, printed, sizeof printed);
    fuzz_require(length > 0 && length < P2P_OP_TEXT, "an operation's text has a limit");
    fuzz_require(p2p_op_print(&op, part, sizeof part) == length, "a short buffer changes no length");
    fuzz_require(strncmp(part, printed, sizeof part - 1) == 0, "and has the beginning");
    fuzz_require(p2p_op_parse(printed, &again) == P2P_OK, "a printed operation is parsed");
    fuzz_require(p2p_op_equal(&op, &again), "to the same");
    if (p2p_op_validate(&op) != P2P_OK) return;
    fuzz_require(p2p_op_flops(&op) >= 0, "work is not negative");
    if (p2p_op_is_convolution(&op)) {
        const p2p_op plain = p2p_op_plain_convolution(&op);
        fuzz_require(p2p_op_validate(&plain) == P2P_OK, "a valid convolution's plain form is valid");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    char *text = fuzz_text(bytes, size);
    check_tensor(text);
    check_operation(text);
    free(text);
    return 0;
}
