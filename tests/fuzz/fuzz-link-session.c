/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whole sessions with the agent's end, over real sockets: the bytes are a script of what up to four connections do, in
 * any order: connect, say anything of any kind, with and without descriptors, read or not, close; and of what the agent
 * does meanwhile: other devices, requests, answers given late. Nobody ever speaks for a device that is not its own. */
#include "base/limits.h"
#include "base/log.h"
#include "base/names.h"
#include "link/host-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define PEERS 4
#define STEPS_MAX 200
#define HELD_MAX 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static sd_event *event;
static struct workers *workers;
static struct link_host *host;
static struct sockaddr_un address = {.sun_family = AF_UNIX};
static char directory[] = "/tmp/fuzz-link-XXXXXX";
static int peers[PEERS];
static struct link_report *held[HELD_MAX];
static size_t n_held;
static size_t open_calls;

static const char *const names[] = {"sim", "other", "third"};

static void want(bool condition)
{
    if (!condition)
        abort();
}

/* The device NAME-a is of the driver NAME. */
static bool owns(const struct link_driver *d, const char *device)
{
    const char *name = link_driver_name(d);

    return strncmp(device, name, strlen(name)) == 0 && device[strlen(name)] == '-';
}

static void on_report(struct link_driver *d, struct link_report *token, const char *device,
                      const struct sample *samples, size_t n, void *userdata)
{
    want(owns(d, device) && link_driver_connected(d) && n > 0);
    if (samples[0].quality & SAMPLE_STALE && n_held < HELD_MAX)
        held[n_held++] = token;
    else
        link_report_done(token, samples[0].quality & SAMPLE_BAD ? -ENOSPC : 0);
}

static void on_state(struct link_driver *d, const char *device, const char *state, const char *reason, void *userdata)
{
    want(owns(d, device) && strlen(reason) < ERROR_TEXT_MAX);
}

static void on_keep(struct link_driver *d, const char *device, const char *text, void *userdata)
{
    want(owns(d, device) && strlen(text) < LINK_KEPT_MAX);
}

static const struct link_host_ops ops = {.report = on_report, .device_state = on_state, .keep = on_keep};

static void set_devices(unsigned choice)
{
    const char *name = names[choice % ELEMENTSOF(names)];
    char ids[3][32], text[200];
    struct link_device devices[3];

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = 0;
    for (size_t i = 0; i < 3; i++) {
        snprintf(ids[i], sizeof(ids[i]), "%s-%c", name, (char)('a' + i));
        devices[i] = (struct link_device){ids[i], "{}", choice & 4 ? text : "{}"};
    }
    (void)link_host_set_devices(host, name, devices, (choice >> 3) % 4);
}

static void on_value(int r, const struct link_failure *failure, const struct sample_value *value, void *userdata)
{
    open_calls--;
}

static void on_values(int r, const struct link_failure *failure, const struct sample_value *values, size_t n,
                      void *userdata)
{
    open_calls--;
}

static void on_complaints(int r, const struct link_failure *failure, const struct packet_complaint *complaints,
                          size_t n, void *userdata)
{
    open_calls--;
}

static void on_found(int r, const struct link_failure *failure, json_object *found, void *userdata)
{
    open_calls--;
}

static void on_done(int r, const struct link_failure *failure, void *userdata)
{
    open_calls--;
}

static void ask(unsigned choice)
{
    const char *driver = names[choice % ELEMENTSOF(names)];
    const struct sample_value value = {.type = SAMPLE_INT, .x = 5};
    const struct link_device device = {"sim-a", "{}", "{}"};
    json_object *options = json_object_new_object();
    char id[32];
    int r = -EINVAL;

    snprintf(id, sizeof(id), "%s-a", driver);
    if (choice / 4 % 8 == 0)
        r = link_host_write(host, driver, id, "p", &value, on_value, NULL);
    else if (choice / 4 % 8 == 1)
        r = link_host_read(host, driver, id, "p", on_value, NULL);
    else if (choice / 4 % 8 == 2)
        r = link_host_check_config(host, driver, &device, on_complaints, NULL);
    else if (choice / 4 % 8 == 3)
        r = link_host_scan(host, driver, options, on_found, NULL);
    else if (choice / 4 % 8 == 4)
        r = link_host_read_raw(host, driver, options, on_values, NULL);
    else if (choice / 4 % 8 == 5)
        r = link_host_secret(host, driver, id, STDIN_FILENO, "kept", on_done, NULL);
    else
        (void)link_host_quit(host, driver);
    open_calls += r == 0;
    json_object_put(options);
}

static void run(void)
{
    for (unsigned i = 0; i < 20 && sd_event_run(event, 0) > 0; i++)
        want(host->n_strangers <= LINK_STRANGERS_MAX);
}

static void reconnect(size_t i)
{
    close(peers[i]);
    peers[i] = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    (void)!connect(peers[i], (struct sockaddr *)&address, sizeof(address));
}

static void transmit(int peer, const void *bytes, size_t n, bool with_descriptor)
{
    char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8))) = "";
    struct iovec iov = {(void *)bytes, n};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

    if (with_descriptor) {
        m.msg_control = control;
        m.msg_controllen = sizeof(control);
        *CMSG_FIRSTHDR(&m) =
            (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        memset(CMSG_DATA(CMSG_FIRSTHDR(&m)), 0, sizeof(int)); /* standard input */
    }
    (void)sendmsg(peer, &m, MSG_NOSIGNAL);
}

/* A well-formed packet, more or less: `choice` says of which kind, `more` the rest. */
static size_t compose(uint8_t *buffer, size_t size, unsigned choice, unsigned more)
{
    const char *name = names[more % ELEMENTSOF(names)];
    const struct sample s = {"p", more, {.type = SAMPLE_INT, .x = more}, "Cel", more >> 4 & 15};
    const struct sample_value value = {.type = SAMPLE_INT, .x = 0};
    struct cbor_writer w;
    char id[32];

    snprintf(id, sizeof(id), "%s-%c", name, (char)('a' + more / 4 % 4));
    cbor_writer_init(&w, buffer, size);
    if (choice % 4 == 0) {
        packet_begin(&w, PACKET_HELLO, more, 1);
        cbor_put_map(&w, 3);
        cbor_put_text(&w, "name");
        cbor_put_text(&w, name);
        cbor_put_text(&w, "abi");
        cbor_put_uint(&w, more < 250 ? LINK_ABI : 1);
        cbor_put_text(&w, "version");
        cbor_put_text(&w, id);
    } else if (choice % 4 == 1) {
        packet_begin(&w, PACKET_REPORT, more, 2);
        for (int i = 0; i < 2; i++) {
            packet_put_part(&w, id, 1);
            packet_put_sample(&w, &s);
        }
    } else if (choice % 4 == 2) {
        packet_begin(&w, PACKET_STATE, more, 3);
        cbor_put_text(&w, id);
        cbor_put_text(&w, link_state_name((enum link_state)(1 + more % 4)));
        cbor_put_text(&w, id + more % 4);
    } else {
        packet_begin(&w, PACKET_ANSWER, more % 8, 2);
        cbor_put_uint(&w, more & 16 ? 5 : 0);
        if (more & 16)
            cbor_put_text(&w, id);
        else if (more & 32)
            cbor_put_array(&w, 0);
        else
            cbor_put_value(&w, &value);
    }
    return w.full ? 0 : cbor_written(&w);
}

static void step(const uint8_t **at, const uint8_t *end)
{
    static uint8_t buffer[4096];
    unsigned op = (*at)[0], more = (*at)[1];
    size_t i = op % PEERS, n;

    *at += 2;
    switch (op / PEERS % 8) {
    case 0:
        reconnect(i);
        break;
    case 1: /* bytes as they come */
        n = MIN_OF((size_t)more, (size_t)(end - *at));
        transmit(peers[i], *at, n, op & 0x80);
        *at += n;
        break;
    case 2: /* a well-formed packet, of which one byte may be another */
        n = compose(buffer, sizeof(buffer), op / 32, more);
        if (op & 0x80 && *at < end && n > 0)
            buffer[**at % n] ^= (uint8_t)more;
        transmit(peers[i], buffer, n, false);
        break;
    case 3:
        n = compose(buffer, sizeof(buffer), op / 32, more);
        transmit(peers[i], buffer, n, more > 240);
        break;
    case 4:
        for (unsigned k = 0; k < more && recv(peers[i], buffer, sizeof(buffer), 0) > 0; k++)
            ;
        break;
    case 5:
        set_devices(more);
        break;
    case 6:
        ask(more);
        break;
    case 7:
        if (n_held > 0)
            link_report_done(held[--n_held], more & 1 ? 0 : -EIO);
        break;
    }
    if (more & 1)
        run();
}

static void start(void)
{
    log_init("fuzz", -1);
    want(mkdtemp(directory) && sd_event_new(&event) >= 0 && workers_new(event, 1, &workers) >= 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/" LINK_SOCKET, directory);
    for (size_t i = 0; i < PEERS; i++)
        peers[i] = -EBADF;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const uint8_t *end = data + n;
    struct link_host_options options = {.runtime_dir = directory, .self_naming = true};

    if (!event)
        start();
    want(link_host_new(event, workers, &options, &ops, NULL, &host, NULL) >= 0);
    for (unsigned i = 0; i < ELEMENTSOF(names); i++)
        set_devices(i | 3 << 3);
    for (size_t i = 0; i < PEERS; i++)
        reconnect(i);
    for (unsigned i = 0; i < STEPS_MAX && end - data >= 2; i++)
        step(&data, end);
    run();
    while (n_held > 0)
        link_report_done(held[--n_held], 0);
    for (size_t i = 0; i < PEERS; i++)
        peers[i] = safe_close(peers[i]);
    run();
    host = link_host_free(host);
    want(open_calls == 0);
    return 0;
}
