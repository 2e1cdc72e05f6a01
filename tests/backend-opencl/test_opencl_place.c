/* The place of a device from either extension, with a driver's query that is a double. */
#include "device/ocl_place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* What the double reports: bytes of CL_DEVICE_PCI_BUS_INFO_KHR and CL_DEVICE_TOPOLOGY_AMD; sizes of 0:
 * unknown. */
static uint8_t khr[16], amd[24];
static size_t khr_size, amd_size;

cl_int CL_API_CALL clGetDeviceInfo(cl_device_id device, cl_device_info what, size_t size, void *value,
                                   size_t *written) {
    const size_t known = what == 0x410F ? khr_size : what == 0x4037 ? amd_size : 0;
    (void)device;
    if (known == 0 || known > size) return CL_INVALID_VALUE;
    memcpy(value, what == 0x410F ? khr : amd, known);
    *written = known;
    return CL_SUCCESS;
}

static void expect(const char *wanted) {
    char text[64] = "before";
    ocl_place_describe(NULL, text, sizeof text);
    assert_string_equal(text, wanted);
}

static void test_places(void **state) {
    (void)state;
    expect("");
    amd[0] = 1; /* PCIe */
    amd[21] = 0xc3, amd[22] = 0x1f, amd[23] = 7;
    amd_size = sizeof amd;
    expect("PCI address 0000:C3:1F.7");
    amd[0] = 2;
    expect("");
    khr[0] = 1, khr[4] = 0x81, khr[8] = 2, khr[12] = 3; /* little-endian */
    khr_size = 12;                                      /* too short */
    expect("");
    khr_size = sizeof khr;
    expect("PCI address 0001:81:02.3");
    amd[0] = 1;
    expect("PCI address 0001:81:02.3");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_places)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
