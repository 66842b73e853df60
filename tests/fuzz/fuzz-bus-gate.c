/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The stream from the bus, as senders may shape it: well-formed messages of several of them, with and without
 * descriptors, answers of the bus, and any bytes in between; cut anywhere. No byte is read outside, no descriptor is
 * lost or closed twice, and what is stored stays within its bounds. */
#include "base/limits.h"
#include "bus/gate.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct play {
    struct callers *callers;
    struct gate *gate;
    uint64_t now;
    uint32_t serial, asked;
    const uint8_t *data;
    size_t size;
};

static bool large(const char *path, const char *member, void *userdata)
{
    return strcmp(member, "GetManagedObjects") == 0;
}

static int ask(const char *name, uint32_t *ret_serial, void *userdata)
{
    struct play *p = userdata;

    *ret_serial = p->asked = ++p->serial;
    return 0;
}

static void ponged(struct caller *one, enum caller_ping which, void *userdata) {}

static void gone(struct caller *one, void *userdata) {}

static uint8_t byte(struct play *p)
{
    if (p->size == 0)
        return 0;
    p->size--;
    return *p->data++;
}

static int feed(struct play *p, const uint8_t *data, size_t n, unsigned n_fds)
{
    int fds[4];

    for (unsigned i = 0; i < n_fds; i++)
        fds[i] = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 100);
    do {
        size_t room;
        uint8_t *to = gate_room(p->gate, &room);
        int r;

        if (!to)
            abort();
        room = room < n ? room : n;
        memcpy(to, data, room);
        r = gate_received(p->gate, room, fds, n_fds, p->now);
        if (r < 0)
            return r;
        data += room;
        n -= room;
        n_fds = 0;
    } while (n > 0);
    return 0;
}

static void put_text(uint8_t *out, size_t *at, uint8_t code, const char *text)
{
    uint32_t n = (uint32_t)strlen(text);

    *at = (*at + 7) & ~(size_t)7;
    memcpy(out + *at, (uint8_t[]){code, 1, 's', 0}, 4);
    memcpy(out + *at + 4, &n, 4);
    memcpy(out + *at + 8, text, n + 1);
    *at += 8 + n + 1;
}

static void put_number(uint8_t *out, size_t *at, uint8_t code, uint32_t v)
{
    *at = (*at + 7) & ~(size_t)7;
    memcpy(out + *at, (uint8_t[]){code, 1, 'u', 0}, 4);
    memcpy(out + *at + 4, &v, 4);
    *at += 8;
}

static int send_message(struct play *p, uint8_t type, const char *sender, uint32_t reply_to, unsigned n_fds,
                        const uint8_t *body, uint32_t n_body)
{
    _cleanup_free_ uint8_t *out = calloc(1, 512 + n_body);
    uint32_t fields;
    size_t at = 16, size, cut;
    int r;

    memcpy(out, (uint8_t[]){'l', type, 0, 1}, 4);
    memcpy(out + 4, &n_body, 4);
    memcpy(out + 8, &(uint32_t){1}, 4);
    put_text(out, &at, 3, type == 4 ? "NameOwnerChanged" : "GetAll");
    if (reply_to)
        put_number(out, &at, 5, reply_to);
    if (n_fds)
        put_number(out, &at, 9, n_fds);
    put_text(out, &at, 7, sender);
    fields = (uint32_t)at - 16;
    memcpy(out + 12, &fields, 4);
    at = (at + 7) & ~(size_t)7;
    if (body)
        memcpy(out + at, body, n_body);
    size = at + n_body;
    cut = byte(p) % (size + 1);
    r = feed(p, out, cut ?: size, n_fds);
    return r < 0 || cut == 0 || cut == size ? r : feed(p, out + cut, size - cut, 0);
}

static int leaves(struct play *p, const char *name)
{
    uint8_t body[64] = {0};
    uint32_t n = (uint32_t)strlen(name);

    memcpy(body, &n, 4);
    memcpy(body + 4, name, n);
    memcpy(body + 12, &n, 4);
    memcpy(body + 16, name, n);
    return send_message(p, 4, "org.freedesktop.DBus", 0, 0, body, 29);
}

static void look(struct play *p)
{
    for (struct caller_user *u = callers_first_user(p->callers); u; u = u->next)
        if (!u->unbounded && (u->n_waiting > BUS_WAITING_MAX || u->bytes_waiting > BUS_MESSAGE_MAX ||
                              u->n_descriptors > BUS_WAITING_DESCRIPTORS))
            abort();
}

static int step(struct play *p)
{
    static const char *const names[] = {":1.1", ":1.2", ":1.3", ":1.4"};
    uint8_t what = byte(p);
    const char *name = names[what >> 4 & 3];
    uint32_t n;
    struct letter *l;
    int r;

    switch (what % 8) {
    case 0:
        n = byte(p);
        n = n < p->size ? n : (uint32_t)p->size;
        r = feed(p, p->data, n, what >> 7);
        p->data += n;
        p->size -= n;
        return r;
    case 1:
        return send_message(p, 1, name, 0, byte(p) % 4, NULL, byte(p));
    case 2:
        return send_message(p, 1, name, 0, what >> 7, NULL, (uint32_t)byte(p) << 14);
    case 3:
        n = byte(p) % 4;
        return send_message(p, 2, "org.freedesktop.DBus", p->asked, 0, (const uint8_t *)&n, 4);
    case 4:
        return leaves(p, name);
    case 5:
        return send_message(p, 2 + (what >> 7), name, byte(p), 0, NULL, (uint32_t)byte(p) << (what & 8 ? 12 : 0));
    case 6:
        p->now += (uint64_t)byte(p) << 14;
        return 0;
    default:
        l = gate_next(p->gate, what >> 7 ? GATE_ROOM_ANY : what >> 6 ? GATE_ROOM_SMALL : GATE_ROOM_NONE, p->now);
        if (l && l->user)
            callers_spent(p->callers, l->user, (uint64_t)byte(p) << 4, p->now);
        letter_free(l);
        return 0;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t handshake[] = "OK 0123\r\nAGREE_UNIX_FD\r\n";
    struct play p = {.now = 100 * USEC_PER_SEC, .data = data, .size = size};

    p.callers = callers_new();
    p.gate = gate_new(p.callers, &(struct gate_ops){large, ask, ponged, gone, &p});
    if (feed(&p, handshake, sizeof(handshake) - 1, 0) < 0)
        abort();
    while (p.size > 0 && step(&p) >= 0)
        look(&p);
    gate_free(p.gate);
    callers_free(p.callers);
    for (int fd = 100; fd < 110; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            abort();
    return 0;
}
