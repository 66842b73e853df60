/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What bluetoothd, or whoever has its name, may say of an object: properties of any name, type and content, nested as
 * D-Bus allows. They are read in bounds, and never more of them than there is room for. The bytes are instructions by
 * which such a message is made, since sd-bus itself refuses what is not well formed. Then the same bytes as an object's
 * path. */

#include "ble/hub.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ENTRIES_MAX 64
#define TEXT_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *data;
    size_t size;
};

static void check(bool good)
{
    if (!good)
        abort();
}

static uint8_t take(struct input *in)
{
    if (in->size == 0)
        return 0;
    in->size--;
    return *in->data++;
}

static size_t take_bytes(struct input *in, const uint8_t **ret)
{
    size_t n = take(in);

    n = n < in->size ? n : in->size;
    *ret = in->data;
    in->data += n;
    in->size -= n;
    return n;
}

/* A text that D-Bus takes: of the letters of UUIDs, paths and names. */
static const char *take_text(struct input *in, char text[TEXT_MAX])
{
    static const char letters[] = "0123456789abcdefABCDEF-:/_ services";
    size_t n = take(in) % TEXT_MAX;

    for (size_t i = 0; i < n; i++)
        text[i] = letters[take(in) % (sizeof letters - 1)];
    text[n] = 0;
    return text;
}

static int append_bytes(sd_bus_message *m, struct input *in)
{
    const uint8_t *bytes;
    size_t n = take_bytes(in, &bytes);
    int r = sd_bus_message_open_container(m, 'v', "ay");

    if (r >= 0)
        r = sd_bus_message_append_array(m, 'y', bytes, n);
    return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_map(sd_bus_message *m, struct input *in, const char *entry)
{
    const char kind[] = {entry[1], 'v', 0};
    char text[TEXT_MAX];
    int r = sd_bus_message_open_container(m, 'a', entry);

    for (unsigned n = take(in) % ENTRIES_MAX; r >= 0 && n > 0; n--) {
        r = sd_bus_message_open_container(m, 'e', kind);
        if (r >= 0)
            r = kind[0] == 'q' ? sd_bus_message_append(m, "q", take(in) << 8 | take(in))
                               : sd_bus_message_append(m, "s", take_text(in, text));
        if (r >= 0)
            r = take(in) % 8 ? append_bytes(m, in) : sd_bus_message_append(m, "v", "s", take_text(in, text));
        if (r >= 0)
            r = sd_bus_message_close_container(m);
    }
    return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_texts(sd_bus_message *m, struct input *in)
{
    char text[TEXT_MAX];
    int r = sd_bus_message_open_container(m, 'a', "s");

    for (unsigned n = take(in) % ENTRIES_MAX; r >= 0 && n > 0; n--)
        r = sd_bus_message_append(m, "s", take_text(in, text));
    return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_value(sd_bus_message *m, struct input *in)
{
    static const char *const types[] = {"a{qv}", "a{sv}", "as", "ay", "s", "o", "b", "n", "u", "a(so)"};
    const char *type = types[take(in) % (sizeof types / sizeof types[0])];
    const uint8_t *bytes;
    char text[TEXT_MAX];
    size_t n;
    int r;

    r = sd_bus_message_open_container(m, 'v', type);
    if (r < 0)
        return r;
    if (strcmp(type, "a{qv}") == 0 || strcmp(type, "a{sv}") == 0)
        r = append_map(m, in, type[2] == 'q' ? "{qv}" : "{sv}");
    else if (strcmp(type, "as") == 0)
        r = append_texts(m, in);
    else if (strcmp(type, "ay") == 0) {
        n = take_bytes(in, &bytes);
        r = sd_bus_message_append_array(m, 'y', bytes, n);
    } else if (type[0] == 's')
        r = sd_bus_message_append(m, "s", take_text(in, text));
    else if (type[0] == 'o')
        r = sd_bus_message_append(m, "o", take(in) % 2 ? "/org/bluez/hci0/dev_A4_C1_38_02_83_F4" : "/");
    else if (type[0] == 'b')
        r = sd_bus_message_append(m, "b", take(in) % 2);
    else if (type[0] == 'n')
        r = sd_bus_message_append(m, "n", (int16_t)(take(in) << 8 | take(in)));
    else if (type[0] == 'u')
        r = sd_bus_message_append(m, "u", (uint32_t)take(in));
    else
        r = sd_bus_message_append(m, "a(so)", 1, "x", "/");
    return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_properties(sd_bus_message *m, struct input *in)
{
    static const char *const names[] = {"ManufacturerData", "ServiceData",      "UUIDs",  "Value",   "Name",
                                        "Address",          "AddressType",      "UUID",   "Service", "PowerState",
                                        "Connected",        "ServicesResolved", "Paired", "Powered", "RSSI",
                                        "Discovering",      "TxPower",          "Other"};
    int r = sd_bus_message_open_container(m, 'a', "{sv}");

    while (r >= 0 && in->size > 0) {
        r = sd_bus_message_open_container(m, 'e', "sv");
        if (r >= 0)
            r = sd_bus_message_append(m, "s", names[take(in) % (sizeof names / sizeof names[0])]);
        if (r >= 0)
            r = append_value(m, in);
        if (r >= 0)
            r = sd_bus_message_close_container(m);
    }
    return r < 0 ? r : sd_bus_message_close_container(m);
}

static unsigned sum(const uint8_t *bytes, size_t n)
{
    unsigned all = 0;

    for (size_t i = 0; i < n; i++)
        all += bytes[i];
    return all;
}

/* Every byte of it is there, and no more than fits. */
static void look(const struct properties *p)
{
    unsigned sink = 0;

    check(p->advert.n_manufacturer <= ELEMENTS_MAX && p->advert.n_service <= ELEMENTS_MAX &&
          p->advert.n_uuids <= UUIDS_MAX);
    for (size_t i = 0; i < p->advert.n_manufacturer; i++) {
        check(p->manufacturer[i].n <= ADVERT_PAYLOAD_MAX);
        sink += sum(p->manufacturer[i].bytes, p->manufacturer[i].n);
    }
    for (size_t i = 0; i < p->advert.n_service; i++) {
        check(p->service[i].n <= ADVERT_PAYLOAD_MAX);
        sink += sum(p->service[i].bytes, p->service[i].n) + (unsigned)strlen(p->service[i].uuid);
    }
    for (size_t i = 0; i < p->advert.n_uuids; i++)
        sink += (unsigned)strlen(p->uuids[i]);
    sink += p->value ? sum(p->value, p->n_value) : 0;
    check(sink != UINT_MAX); /* so that it is read */
}

static void read_message(struct input *in)
{
    sd_bus_message *m = NULL;
    struct properties p;
    sd_bus *bus = NULL;
    int fds[2], r;

    /* Nothing is sent: a bus is what a message belongs to. */
    check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
    check(sd_bus_new(&bus) >= 0 && sd_bus_set_fd(bus, fds[0], fds[0]) >= 0 && sd_bus_start(bus) >= 0);
    check(sd_bus_message_new_signal(bus, &m, "/org/bluez", DBUS_PROPERTIES, "PropertiesChanged") >= 0);
    r = append_properties(m, in);
    if (r >= 0 && sd_bus_message_seal(m, 1, 0) >= 0 && sd_bus_message_rewind(m, 1) >= 0 && properties_read(m, &p) >= 0)
        look(&p);
    sd_bus_message_unref(m);
    sd_bus_close(bus);
    sd_bus_unref(bus);
    (void)close(fds[1]);
}

static void read_path(const uint8_t *data, size_t size)
{
    char *path = malloc(size + 24), address[ADDRESS_TEXT];
    size_t adapter;

    check(path != NULL);
    memcpy(path, data, size);
    path[size] = 0;
    if (!path_address(path, address, &adapter)) {
        memmove(path + 5, path, size + 1);
        memcpy(path, "/dev_", 5);
        if (!path_address(path, address, &adapter)) {
            free(path);
            return;
        }
    }
    check(strlen(address) == ADDRESS_TEXT - 1 && adapter < strlen(path));
    free(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};

    read_path(data, size);
    read_message(&in);
    return 0;
}
