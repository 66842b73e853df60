/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/gate.h"

#include "base/limits.h"
#include "bus/outline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FDS_MAX 253 /* SCM_MAX_FD, what the kernel passes at once */
#define BUS_DRIVER "org.freedesktop.DBus"

struct fds {
    int fds[FDS_MAX];
    size_t n;
};

struct gate {
    struct callers *callers;
    struct gate_ops ops;
    bool accepted, open; /* the handshake: our user was, it is over */
    uint8_t *in;         /* what has come and was not looked at */
    size_t n_in, in_size;
    uint64_t skip;           /* of what comes, the rest of a message that is not wanted */
    struct fds fds, fresh;   /* of the message that is coming in; of the last one in what has just come */
    struct letters from_bus; /* and the handshake */
    struct letters refused;
    size_t n_refused;
    uint64_t unknown_bytes;
    size_t unknown_descriptors;
};

struct letter *letter_free(struct letter *l)
{
    if (!l)
        return NULL;
    safe_close(l->fd);
    free(l);
    return NULL;
}

struct gate *gate_new(struct callers *callers, const struct gate_ops *ops)
{
    struct gate *g = calloc(1, sizeof(*g));

    if (!g)
        return NULL;
    g->callers = callers;
    g->ops = *ops;
    TAILQ_INIT(&g->from_bus);
    TAILQ_INIT(&g->refused);
    return g;
}

static void empty(struct letters *letters)
{
    struct letter *l;

    while ((l = TAILQ_FIRST(letters))) {
        TAILQ_REMOVE(letters, l, link);
        letter_free(l);
    }
}

static void close_fds(struct fds *fds)
{
    for (size_t i = 0; i < fds->n; i++)
        safe_close(fds->fds[i]);
    fds->n = 0;
}

struct gate *gate_free(struct gate *g)
{
    if (!g)
        return NULL;
    for (struct caller *one = callers_next(g->callers, NULL); one; one = callers_next(g->callers, one))
        empty(&one->waiting);
    for (struct caller_user *u = callers_first_user(g->callers); u; u = u->next)
        empty(&u->waiting);
    empty(&g->from_bus);
    empty(&g->refused);
    close_fds(&g->fds);
    free(g->in);
    free(g);
    return NULL;
}

/* ── Letters ── */

static struct letter *letter_new(const void *data, size_t size)
{
    struct letter *l = malloc(sizeof(*l) + size);

    if (!l)
        return NULL;
    *l = (struct letter){.fd = -EBADF, .size = size};
    memcpy(l->data, data, size);
    return l;
}

/* The descriptor of the message that has just come, if there is one; others are closed. */
static int take_fd(struct gate *g)
{
    int fd = g->fds.n > 0 ? TAKE_FD(g->fds.fds[0]) : -EBADF;

    close_fds(&g->fds);
    return fd;
}

static bool has_room(const struct caller_user *u, uint64_t size, bool with_fd)
{
    if (u->unbounded)
        return u->n_waiting < BUS_ROOT_WAITING_MAX && u->bytes_waiting + size <= BUS_ROOT_WAITING_BYTES;
    /* A large one has to be possible, where nothing else waits. */
    return u->n_waiting < BUS_WAITING_MAX && (u->n_waiting == 0 || u->bytes_waiting + size <= BUS_WAITING_BYTES) &&
           (!with_fd || u->n_descriptors < BUS_WAITING_DESCRIPTORS);
}

/* To be told that it was not carried out, unless its user was often enough. `data`: its header. */
static void refuse(struct gate *g, struct caller *from, enum letter_fate fate, const struct outline *m, uint64_t now)
{
    _cleanup_free_ uint8_t *stub = NULL;
    struct letter *l;
    size_t size;

    if (m->type != OUTLINE_CALL || g->n_refused >= BUS_WAITING_MAX || !ratelimit_take(&from->user->told, now, 1) ||
        outline_stub(m, &stub, &size) < 0)
        return;
    l = letter_new(stub, size);
    if (!l)
        return;
    l->from = from;
    l->user = from->user;
    l->fate = fate;
    from->n_waiting++;
    g->n_refused++;
    TAILQ_INSERT_TAIL(&g->refused, l, link);
}

/* Into its user's queue, or to be refused. Takes it. */
static void admit(struct gate *g, struct letter *l, uint64_t now)
{
    struct caller_user *u = l->user = l->from->user;
    struct outline m;

    if (l->fate != LETTER_PASS || !has_room(u, l->size, l->fd >= 0) || !callers_heard(l->from, l->data[1])) {
        if (outline_parse(l->data, l->size, &m) >= 0)
            refuse(g, l->from, l->fate != LETTER_PASS ? l->fate : LETTER_TOO_MANY, &m, now);
        letter_free(l);
        return;
    }
    if (u->n_waiting == 0)
        callers_wakes(g->callers, u);
    u->n_waiting++;
    u->bytes_waiting += l->size;
    u->n_descriptors += l->fd >= 0;
    l->from->n_waiting++;
    TAILQ_INSERT_TAIL(&u->waiting, l, link);
}

static bool may_hold(const struct gate *g, const struct caller *one, const struct letter *l)
{
    return (one->n_waiting == 0 || one->bytes_waiting + l->size <= BUS_WAITING_BYTES) &&
           g->unknown_bytes + l->size <= BUS_UNKNOWN_BYTES &&
           (l->fd < 0 ||
            (one->n_descriptors < BUS_WAITING_DESCRIPTORS && g->unknown_descriptors < BUS_UNKNOWN_DESCRIPTORS));
}

/* Until its sender's user is known. Takes it. */
static void hold(struct gate *g, struct letter *l)
{
    struct caller *one = l->from;

    if (one->n_waiting >= BUS_WAITING_MAX) {
        letter_free(l);
        return;
    }
    if (!may_hold(g, one, l)) { /* its header is enough to refuse it by */
        struct outline m;
        _cleanup_free_ uint8_t *stub = NULL;
        size_t size;
        struct letter *whole = l;

        l = outline_parse(whole->data, whole->size, &m) >= 0 && outline_stub(&m, &stub, &size) >= 0
                ? letter_new(stub, size)
                : NULL;
        letter_free(whole);
        if (!l)
            return;
        l->from = one;
        l->fate = LETTER_TOO_MANY;
        if (g->unknown_bytes + l->size > 2 * (uint64_t)BUS_UNKNOWN_BYTES) {
            letter_free(l); /* of too many strangers even the refusals cannot wait */
            return;
        }
    }
    one->n_waiting++;
    one->bytes_waiting += l->size;
    one->n_descriptors += l->fd >= 0;
    g->unknown_bytes += l->size;
    g->unknown_descriptors += l->fd >= 0;
    TAILQ_INSERT_TAIL(&one->waiting, l, link);
}

/* Those of unknown user, all at once. */
static struct letter *release(struct gate *g, struct caller *one)
{
    struct letter *l = TAILQ_FIRST(&one->waiting);

    if (!l)
        return NULL;
    TAILQ_REMOVE(&one->waiting, l, link);
    one->n_waiting--;
    one->bytes_waiting -= l->size;
    one->n_descriptors -= l->fd >= 0;
    g->unknown_bytes -= l->size;
    g->unknown_descriptors -= l->fd >= 0;
    return l;
}

static void take_off(struct letter *l)
{
    struct caller_user *u = l->user;

    TAILQ_REMOVE(&u->waiting, l, link);
    u->n_waiting--;
    u->bytes_waiting -= l->size;
    u->n_descriptors -= l->fd >= 0;
    l->from->n_waiting--;
}

static void drop_refused(struct gate *g, struct caller *one)
{
    for (struct letter *l = TAILQ_FIRST(&g->refused), *next; l; l = next) {
        next = TAILQ_NEXT(l, link);
        if (l->from != one)
            continue;
        TAILQ_REMOVE(&g->refused, l, link);
        one->n_waiting--;
        g->n_refused--;
        letter_free(l);
    }
}

/* Nobody would hear the answers. */
static void drop_waiting(struct gate *g, struct caller *one)
{
    struct letter *l;

    while ((l = release(g, one)))
        letter_free(l);
    if (one->n_waiting > 0)
        drop_refused(g, one);
    for (l = one->n_waiting > 0 ? TAILQ_FIRST(&one->user->waiting) : NULL; l && one->n_waiting > 0;) {
        struct letter *next = TAILQ_NEXT(l, link);

        if (l->from == one) {
            take_off(l);
            letter_free(l);
        }
        l = next;
    }
}

static void gone(struct gate *g, struct caller *one)
{
    drop_waiting(g, one);
    g->ops.gone(one, g->ops.userdata);
    callers_gone(g->callers, one);
}

/* ── What comes from the bus itself ── */

static void uid_known(struct gate *g, struct caller *one, const struct outline *m, uint64_t now)
{
    size_t offset = 0;
    struct letter *l;
    uint32_t uid;

    /* An error: it has left already. */
    if (m->type != OUTLINE_RETURN || outline_read_u32(m, &offset, &uid) < 0 ||
        callers_uid_known(g->callers, one, uid, now) < 0) {
        gone(g, one);
        return;
    }
    while ((l = release(g, one)))
        admit(g, l, now);
}

static void owner_changed(struct gate *g, const struct outline *m)
{
    const char *name, *before, *after;
    struct caller *one;
    size_t offset = 0;

    if (outline_read_string(m, &offset, &name) < 0 || outline_read_string(m, &offset, &before) < 0 ||
        outline_read_string(m, &offset, &after) < 0 || after[0])
        return;
    one = callers_find(g->callers, name);
    if (one)
        gone(g, one);
}

static int from_bus(struct gate *g, const uint8_t *data, const struct outline *m, uint64_t now)
{
    struct caller *one = m->reply_serial ? callers_by_question(g->callers, m->reply_serial) : NULL;
    struct letter *l;

    if (one) {
        uid_known(g, one, m, now);
        return 0;
    }
    if (m->type == OUTLINE_SIGNAL && m->member && strcmp(m->member, "NameOwnerChanged") == 0) {
        owner_changed(g, m);
        return 0;
    }
    l = letter_new(data, (size_t)m->size);
    if (!l)
        return -ENOMEM;
    TAILQ_INSERT_TAIL(&g->from_bus, l, link);
    return 0;
}

/* ── What comes from others ── */

/* Whether it was the answer to one of our pings. An error is an answer too: somebody was there to refuse. */
static bool pong(struct gate *g, struct caller *one, const struct outline *m)
{
    for (int i = 0; i < CALLER_PINGS; i++)
        if (one->pings[i] && one->pings[i] == m->reply_serial) {
            one->pings[i] = 0;
            g->ops.ponged(one, (enum caller_ping)i, g->ops.userdata);
            return true;
        }
    return false;
}

/* The sender, if the message is of interest at all: calls of everybody, and answers, which except for pings come from
 * services that run as root, or beside us. */
static struct caller *sender_of(struct gate *g, const struct outline *m)
{
    struct caller *one = callers_find(g->callers, m->sender);
    uint32_t serial;

    if (m->type == OUTLINE_RETURN || m->type == OUTLINE_ERROR) {
        if (one && pong(g, one, m))
            return NULL;
        if (one && one->user && !callers_heard(one, m->type))
            return NULL;
    } else if (m->type != OUTLINE_CALL) {
        return NULL;
    }
    if (one)
        return one;
    one = callers_get(g->callers, m->sender);
    if (!one)
        return NULL;
    if (g->ops.ask(m->sender, &serial, g->ops.userdata) < 0 || callers_asked(g->callers, one, serial) < 0) {
        callers_gone(g->callers, one);
        return NULL;
    }
    return one;
}

static enum letter_fate fate_of(const struct outline *m)
{
    return m->size > BUS_MESSAGE_MAX        ? LETTER_TOO_LARGE
           : m->n_fds > BUS_DESCRIPTORS_MAX ? LETTER_DESCRIPTORS
                                            : LETTER_PASS;
}

/* `whole` or only its header, where nothing more is wanted of it. */
static int from_other(struct gate *g, const uint8_t *data, const struct outline *m, uint64_t now)
{
    struct caller *one = m->sender ? sender_of(g, m) : NULL;
    enum letter_fate fate = fate_of(m);
    _cleanup_free_ uint8_t *stub = NULL;
    struct letter *l;
    size_t size = (size_t)m->size;

    if (!one)
        return 0;
    if (one->user && (fate != LETTER_PASS || !has_room(one->user, m->size, m->n_fds > 0))) {
        refuse(g, one, fate != LETTER_PASS ? fate : LETTER_TOO_MANY, m, now);
        return 0;
    }
    if (fate == LETTER_PASS && !m->body)
        return 0;
    if (fate != LETTER_PASS && outline_stub(m, &stub, &size) < 0)
        return -ENOMEM;
    l = letter_new(stub ?: data, size);
    if (!l)
        return -ENOMEM;
    l->from = one;
    l->fate = fate;
    if (fate == LETTER_PASS && m->n_fds > 0)
        l->fd = take_fd(g);
    l->large = fate == LETTER_PASS && m->path && m->member && g->ops.large(m->path, m->member, g->ops.userdata);
    if (one->user)
        admit(g, l, now);
    else
        hold(g, l);
    return 0;
}

/* Whether its body has to be stored: if not, what there is to say about it has been said. */
static bool wanted(struct gate *g, const uint8_t *data, size_t n, struct outline *m, uint64_t now)
{
    struct caller *one;

    if (m->header_size > BUS_HEADER_MAX)
        return false;
    if (m->size <= BUS_LARGE || n < m->header_size)
        return true;
    if (outline_parse(data, m->header_size, m) < 0)
        return false;
    if (m->sender && strcmp(m->sender, BUS_DRIVER) == 0)
        return m->size <= BUS_MESSAGE_MAX;
    one = m->sender ? callers_find(g->callers, m->sender) : NULL;
    if (fate_of(m) == LETTER_PASS && m->type == OUTLINE_CALL &&
        (!one || !one->user ? g->unknown_bytes + m->size <= BUS_UNKNOWN_BYTES
                            : has_room(one->user, m->size, m->n_fds > 0)))
        return true;
    if (m->type == OUTLINE_CALL && (fate_of(m) != LETTER_PASS || (one && one->user)))
        (void)from_other(g, data, m, now);
    return false;
}

/* ── The stream ── */

static int auth_line(struct gate *g, const uint8_t *data, size_t n, size_t *ret_used)
{
    const uint8_t *end = memmem(data, MIN_OF(n, (size_t)BUS_AUTH_MAX), "\r\n", 2);
    struct letter *l;

    if (!end)
        return n >= BUS_AUTH_MAX ? -EBADMSG : 0;
    *ret_used = (size_t)(end - data) + 2;
    l = letter_new(data, *ret_used);
    if (!l)
        return -ENOMEM;
    TAILQ_INSERT_TAIL(&g->from_bus, l, link);
    /* sd-bus asks for descriptors when it is accepted, and what answers that is the last line. */
    if (memcmp(data, "OK", 2) == 0)
        g->accepted = true;
    else if (g->accepted)
        g->open = true;
    return 1;
}

/* Descriptors come with the first byte of their message, and nothing that is behind it is read together with them: they
 * are the last one's. */
static void adopt(struct gate *g)
{
    for (size_t i = 0; i < g->fresh.n; i++)
        if (g->fds.n < FDS_MAX)
            g->fds.fds[g->fds.n++] = g->fresh.fds[i];
        else
            safe_close(g->fresh.fds[i]);
    g->fresh.n = 0;
}

/* 1: *ret_used bytes have been dealt with. 0: more are needed. */
static int message(struct gate *g, const uint8_t *data, size_t n, size_t *ret_used, uint64_t now)
{
    struct outline m;
    int r = n < OUTLINE_FIXED_SIZE ? 0 : outline_measure(data, &m);

    if (r < 0 || n < OUTLINE_FIXED_SIZE)
        return r;
    if (m.size >= n)
        adopt(g);
    if (!wanted(g, data, n, &m, now)) {
        *ret_used = (size_t)MIN_OF((uint64_t)n, m.size);
        g->skip = m.size - *ret_used;
        if (g->skip == 0)
            close_fds(&g->fds);
        return 1;
    }
    if (n < m.size)
        return 0;
    *ret_used = (size_t)m.size;
    /* Of one that cannot be read only the length is known. */
    if (outline_parse(data, n, &m) >= 0 && m.sender)
        r = strcmp(m.sender, BUS_DRIVER) == 0 ? from_bus(g, data, &m, now) : from_other(g, data, &m, now);
    close_fds(&g->fds);
    return r < 0 ? r : 1;
}

static size_t pass_over(struct gate *g, size_t n)
{
    size_t k = (size_t)MIN_OF((uint64_t)n, g->skip);

    g->skip -= k;
    if (g->skip == 0 && k > 0)
        close_fds(&g->fds);
    return k;
}

uint8_t *gate_room(struct gate *g, size_t *ret_size)
{
    if (g->in_size - g->n_in < BUS_READ || (g->in_size > 4 * BUS_READ && g->n_in < BUS_READ)) {
        size_t size = g->n_in + (g->n_in < BUS_READ ? BUS_READ : MAX_OF((size_t)BUS_READ, g->n_in / 2));
        uint8_t *in = realloc(g->in, size);

        if (!in)
            return NULL;
        g->in = in;
        g->in_size = size;
    }
    *ret_size = g->in_size - g->n_in;
    return g->in + g->n_in;
}

int gate_received(struct gate *g, size_t n, const int *fds, size_t n_fds, uint64_t now)
{
    size_t at = 0;
    int r = 1;

    g->n_in += n;
    g->fresh.n = MIN_OF(n_fds, (size_t)FDS_MAX);
    if (g->fresh.n > 0)
        memcpy(g->fresh.fds, fds, g->fresh.n * sizeof(*fds));
    at = pass_over(g, g->n_in);
    while (r > 0 && at < g->n_in) {
        size_t used = 0;

        r = g->open ? message(g, g->in + at, g->n_in - at, &used, now) : auth_line(g, g->in + at, g->n_in - at, &used);
        at += used;
    }
    adopt(g);
    g->n_in -= at;
    if (at > 0)
        memmove(g->in, g->in + at, g->n_in);
    return r < 0 ? r : 0;
}

/* ── Out ── */

static struct letter *first_of(struct letters *letters)
{
    struct letter *l = TAILQ_FIRST(letters);

    if (l)
        TAILQ_REMOVE(letters, l, link);
    return l;
}

static bool fits(const struct caller_user *u, enum gate_room room)
{
    return room == GATE_ROOM_ANY || (room == GATE_ROOM_SMALL && !TAILQ_FIRST(&u->waiting)->large);
}

static struct caller_user *whose_turn(struct gate *g, enum gate_room room, uint64_t now)
{
    struct caller_user *best = NULL;

    for (struct caller_user *u = callers_first_user(g->callers); u; u = u->next) {
        if (u->n_waiting == 0)
            continue;
        if (u->unbounded)
            return u;
        if (fits(u, room) && (!best || callers_before(u, best)) && callers_may(g->callers, u, now))
            best = u;
    }
    return best;
}

struct letter *gate_next(struct gate *g, enum gate_room room, uint64_t now)
{
    struct letter *l = first_of(&g->from_bus);
    struct caller_user *u = l ? NULL : whose_turn(g, room, now);

    if (l)
        return l;
    if (room != GATE_ROOM_NONE && g->n_refused > 0 && !(u && u->unbounded)) {
        l = first_of(&g->refused);
        g->n_refused--;
        l->from->n_waiting--;
        return l;
    }
    l = u ? TAILQ_FIRST(&u->waiting) : NULL;
    if (l)
        take_off(l);
    return l;
}

uint64_t gate_due(struct gate *g, uint64_t now)
{
    uint64_t due = g->n_refused > 0 ? now : USEC_INFINITY;

    for (struct caller_user *u = callers_first_user(g->callers); u; u = u->next)
        if (u->n_waiting > 0)
            due = MIN_OF(due, callers_due(g->callers, u, now));
    return due;
}
