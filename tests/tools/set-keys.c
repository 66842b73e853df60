/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sets the main keys of many devices in one run: the way of `gatehousectl key set`, with many calls under way at once.
 *
 *     set-keys < lines `DEVICE IDENTITY HEXKEY`
 *
 * Status 0 only if the agent took every one; each that it refused is named. */
#include "base/cleanup.h"
#include "base/encode.h"
#include "base/limits.h"
#include "base/names.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <systemd/sd-bus.h>

#define CALLS_MAX 64 /* under way */
/* No verdict on a busy machine: whoever waits for this program has a deadline of its own. */
#define REPLY_TIMEOUT (UINT64_C(600) * 1000 * 1000)
#define LINE_MAX_BYTES 512

static unsigned under_way, failed;

struct call {
    char device[DEVICE_ID_MAX + 1];
};

static void die(const char *what, int r) __attribute__((noreturn));
static void die(const char *what, int r)
{
    fprintf(stderr, "set-keys: %s: %s\n", what, strerror(-r));
    exit(EXIT_FAILURE);
}

static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *ignored)
{
    _cleanup_free_ struct call *call = userdata;

    under_way--;
    if (sd_bus_message_is_method_error(m, NULL)) {
        fprintf(stderr, "set-keys: %s: %s\n", call->device, sd_bus_message_get_error(m)->message);
        failed++;
    }
    return 0;
}

static int sealed(const char *hex)
{
    _cleanup_close_ int fd = memfd_create("key", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    uint8_t key[KEY_MAX];
    ssize_t n = hex_decode(hex, strlen(hex), key, sizeof(key));

    if (n < 0)
        die("a key is not hex", -EINVAL);
    if (fd < 0 || write(fd, key, (size_t)n) != n || lseek(fd, 0, SEEK_SET) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
        die("cannot make a sealed memfd", -errno);
    explicit_bzero(key, sizeof(key));
    return TAKE_FD(fd);
}

static int set(sd_bus *bus, const char *device, const char *identity, const char *hex)
{
    _cleanup_free_ char *path = NULL;
    _cleanup_close_ int fd = sealed(hex);
    struct call *call = calloc(1, sizeof(*call));
    int r;

    if (!call)
        return -ENOMEM;
    snprintf(call->device, sizeof(call->device), "%s", device);
    r = sd_bus_path_encode(BUS_PATH_DEVICE, device, &path);
    if (r >= 0)
        r = sd_bus_call_method_async(bus, NULL, BUS_NAME, path, BUS_INTERFACE_DEVICE, "SetCredential", on_answer, call,
                                     "ssha{sv}", "main", identity, fd, 0);
    if (r < 0) {
        free(call);
        return r;
    }
    under_way++;
    return 0;
}

static void work(sd_bus *bus, unsigned until)
{
    while (under_way > until) {
        int r = sd_bus_process(bus, NULL);

        if (r == 0)
            r = sd_bus_wait(bus, UINT64_MAX);
        if (r < 0)
            die("the bus", r);
    }
}

int main(void)
{
    _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
    char line[LINE_MAX_BYTES], *rest;
    unsigned lines = 0;
    int r = sd_bus_open_system(&bus);

    if (r >= 0)
        r = sd_bus_set_method_call_timeout(bus, REPLY_TIMEOUT);
    if (r < 0)
        die("cannot connect to the bus", r);
    for (; fgets(line, sizeof(line), stdin); lines++) {
        const char *device = strtok_r(line, " \n", &rest), *identity = strtok_r(NULL, " \n", &rest),
                   *hex = strtok_r(NULL, " \n", &rest);

        if (!device || !identity || !hex)
            die("expected DEVICE IDENTITY HEXKEY", -EINVAL);
        r = set(bus, device, identity, hex);
        if (r < 0)
            die(device, r);
        work(bus, CALLS_MAX - 1);
    }
    work(bus, 0);
    explicit_bzero(line, sizeof(line));
    printf("%u keys set, %u refused\n", lines - failed, failed);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
