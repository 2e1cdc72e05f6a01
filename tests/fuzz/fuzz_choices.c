/* The choices of convolutions' algorithms that a checkpoint records: a session refuses the text or takes it.
 */
#include "fuzz.h"

#include "p2p.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    static p2p_device *device;
    char *text = fuzz_text(bytes, size);
    if (!device)
        fuzz_require(p2p_device_open("reference:0", &device) == P2P_OK, "there is a reference device");
    const p2p_session_options options = {.tuning = {.imposed = text}};
    p2p_session *session = NULL;
    const p2p_status status = p2p_session_create(&device, 1, &options, &session);
    fuzz_require(status == P2P_OK || status == P2P_INPUT, "choices are taken or refused");
    p2p_session_destroy(session);
    free(text);
    return 0;
}
