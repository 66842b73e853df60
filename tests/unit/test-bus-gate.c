/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/gate.h"

#include "base/limits.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define STRANGER 1000
#define NOW (100 * USEC_PER_SEC)
#define MESSAGE_MAX (4 << 20)

/* A gate, its stream, and what it did. */
struct bench {
    struct callers *callers;
    struct gate *gate;
    uint64_t now;
    uint32_t serial, asked;
    unsigned n_asked, n_ponged, n_gone;
};

static bool is_large(const char *path, const char *member, void *userdata)
{
    return strcmp(member, "GetManagedObjects") == 0;
}

static int ask(const char *name, uint32_t *ret_serial, void *userdata)
{
    struct bench *b = userdata;

    b->n_asked++;
    *ret_serial = b->asked = ++b->serial;
    return 0;
}

static void ponged(struct caller *one, enum caller_ping which, void *userdata)
{
    ((struct bench *)userdata)->n_ponged++;
}

static void gone(struct caller *one, void *userdata)
{
    ((struct bench *)userdata)->n_gone++;
}

static int feed(struct bench *b, const void *data, size_t n, const int *fds, size_t n_fds)
{
    const uint8_t *p = data;

    while (n > 0) {
        size_t room;
        uint8_t *to = gate_room(b->gate, &room);
        int r;

        room = room < n ? room : n;
        memcpy(to, p, room);
        r = gate_received(b->gate, room, fds, n_fds, b->now);
        if (r < 0)
            return r;
        p += room;
        n -= room;
        n_fds = 0;
    }
    return 0;
}

static int setup(void **state)
{
    static const char handshake[] = "DATA\r\nOK 0123\r\nAGREE_UNIX_FD\r\n";
    struct bench *b = calloc(1, sizeof(*b));

    b->now = NOW;
    b->callers = callers_new();
    b->gate = gate_new(b->callers, &(struct gate_ops){is_large, ask, ponged, gone, b});
    assert_int_equal(feed(b, handshake, strlen(handshake), NULL, 0), 0);
    for (int i = 0; i < 3; i++)
        letter_free(gate_next(b->gate, GATE_ROOM_ANY, b->now));
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;

    gate_free(b->gate);
    callers_free(b->callers);
    free(b);
    return 0;
}

/* ── Messages ── */

struct made {
    uint8_t data[512];
    size_t header, body;
};

static void put(struct made *m, size_t *at, uint8_t code, char type, const void *value, size_t n)
{
    *at = (*at + 7) & ~(size_t)7;
    m->data[*at] = code;
    m->data[*at + 1] = 1;
    m->data[*at + 2] = (uint8_t)type;
    *at += 4;
    if (type == 'u') {
        memcpy(m->data + *at, value, 4);
        *at += 4;
        return;
    }
    memcpy(m->data + *at, &(uint32_t){(uint32_t)n}, 4);
    memcpy(m->data + *at + 4, value, n + 1);
    *at += 4 + n + 1;
}

static struct made make(uint8_t type, const char *sender, const char *member, uint32_t reply_to, uint32_t n_fds,
                        const void *body, size_t n_body)
{
    static uint32_t serial = 1000;
    struct made m = {.data = {'l', type, 0, 1}};
    size_t at = 16;

    put(&m, &at, 1, 'o', "/org/gatehouse1", 15);
    put(&m, &at, 3, 's', member, strlen(member));
    if (reply_to)
        put(&m, &at, 5, 'u', &reply_to, 0);
    if (n_fds)
        put(&m, &at, 9, 'u', &n_fds, 0);
    put(&m, &at, 7, 's', sender, strlen(sender));
    memcpy(m.data + 4, &(uint32_t){(uint32_t)n_body}, 4);
    memcpy(m.data + 8, &(uint32_t){++serial}, 4);
    memcpy(m.data + 12, &(uint32_t){(uint32_t)(at - 16)}, 4);
    m.header = (at + 7) & ~(size_t)7;
    m.body = n_body;
    if (body)
        memcpy(m.data + m.header, body, n_body);
    return m;
}

static int call(struct bench *b, const char *sender, const char *member)
{
    struct made m = make(1, sender, member, 0, 0, NULL, 0);

    return feed(b, m.data, m.header, NULL, 0);
}

static int large(struct bench *b, const char *sender, size_t n_body)
{
    static uint8_t body[MESSAGE_MAX];
    struct made m = make(1, sender, "Large", 0, 0, NULL, n_body);
    int r = feed(b, m.data, m.header, NULL, 0);

    return r < 0 ? r : feed(b, body, n_body, NULL, 0);
}

/* n descriptors come with it; *ret is the first one. */
static int with_descriptors(struct bench *b, const char *sender, unsigned n, int *ret)
{
    struct made m = make(1, sender, "Rekey", 0, n, NULL, 0);
    int fds[16];

    for (unsigned i = 0; i < n; i++)
        fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    *ret = fds[0];
    return feed(b, m.data, m.header, fds, n);
}

static void tell_uid(struct bench *b, uint32_t uid)
{
    struct made m = make(2, "org.freedesktop.DBus", "", b->asked, 0, &uid, 4);

    assert_int_equal(feed(b, m.data, m.header + m.body, NULL, 0), 0);
}

static void leaves(struct bench *b, const char *name)
{
    uint8_t body[64] = {0};
    size_t n = strlen(name), at = 4 + n + 1;
    struct made m;

    memcpy(body, &(uint32_t){(uint32_t)n}, 4);
    memcpy(body + 4, name, n);
    at = (at + 3) & ~(size_t)3;
    memcpy(body + at, &(uint32_t){(uint32_t)n}, 4);
    memcpy(body + at + 4, name, n);
    at = (at + 4 + n + 1 + 3) & ~(size_t)3;
    m = make(4, "org.freedesktop.DBus", "NameOwnerChanged", 0, 0, body, at + 5);
    assert_int_equal(feed(b, m.data, m.header + m.body, NULL, 0), 0);
}

/* A connection of that user, which is known. */
static void known(struct bench *b, const char *name, uint32_t uid)
{
    unsigned before = b->n_asked;

    call(b, name, "First");
    if (b->n_asked > before)
        tell_uid(b, uid);
    letter_free(gate_next(b->gate, GATE_ROOM_ANY, b->now));
}

static void next_is(struct bench *b, const char *sender, enum letter_fate fate)
{
    _cleanup_(letter_freep) struct letter *l = gate_next(b->gate, GATE_ROOM_ANY, b->now);

    assert_non_null(l);
    assert_non_null(l->from);
    assert_string_equal(l->from->name, sender);
    assert_int_equal(l->fate, fate);
}

static void none(struct bench *b)
{
    assert_null(gate_next(b->gate, GATE_ROOM_ANY, b->now));
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

/* ── Tests ── */

static void test_a_sender_is_asked_for_once(void **state)
{
    struct bench *b = *state;

    for (int i = 0; i < 3; i++)
        assert_int_equal(call(b, ":1.1", "A"), 0);
    assert_int_equal(b->n_asked, 1);
    none(b);
    tell_uid(b, STRANGER);
    for (int i = 0; i < 3; i++)
        next_is(b, ":1.1", LETTER_PASS);
    none(b);
}

/* Cut anywhere, the stream holds the same messages. */
static void test_any_cut(void **state)
{
    struct bench *b = *state;
    struct made m;

    known(b, ":1.1", 0);
    m = make(1, ":1.1", "Cut", 0, 0, NULL, 0);
    for (size_t at = 1; at < m.header; at++) {
        assert_int_equal(feed(b, m.data, at, NULL, 0), 0);
        none(b);
        assert_int_equal(feed(b, m.data + at, m.header - at, NULL, 0), 0);
        next_is(b, ":1.1", LETTER_PASS);
    }
}

static void test_root_comes_first(void **state)
{
    struct bench *b = *state;
    struct letter *l;

    known(b, ":1.1", STRANGER);
    known(b, ":1.2", 0);
    for (int i = 0; i < 100; i++)
        call(b, ":1.1", "A");
    call(b, ":1.2", "B");
    next_is(b, ":1.2", LETTER_PASS);
    next_is(b, ":1.1", LETTER_PASS);
    call(b, ":1.2", "B");
    l = gate_next(b->gate, GATE_ROOM_NONE, b->now); /* also while the bus takes no answers */
    assert_non_null(l);
    letter_free(l);
    assert_null(gate_next(b->gate, GATE_ROOM_NONE, b->now));
}

/* A large answer would keep root's behind it: while the bus is slow to take what is sent, others have none. */
static void test_large_answers_wait(void **state)
{
    struct bench *b = *state;

    known(b, ":1.1", STRANGER);
    known(b, ":1.2", STRANGER + 1);
    known(b, ":1.3", 0);
    call(b, ":1.1", "GetManagedObjects");
    call(b, ":1.1", "A");
    call(b, ":1.2", "B");
    letter_free(gate_next(b->gate, GATE_ROOM_SMALL, b->now));
    assert_int_equal(callers_find(b->callers, ":1.2")->n_waiting, 0);
    assert_null(gate_next(b->gate, GATE_ROOM_SMALL, b->now));
    call(b, ":1.3", "GetManagedObjects");
    letter_free(gate_next(b->gate, GATE_ROOM_NONE, b->now));
    assert_int_equal(callers_find(b->callers, ":1.3")->n_waiting, 0);
    next_is(b, ":1.1", LETTER_PASS);
    next_is(b, ":1.1", LETTER_PASS);
}

/* One user's flood leaves another's calls their turn, however many connections it comes by. */
static void test_users_take_turns(void **state)
{
    struct bench *b = *state;
    char name[16];

    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), ":1.%d", i);
        known(b, name, STRANGER);
    }
    known(b, ":2.1", STRANGER + 1);
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof(name), ":1.%d", i % 20);
        call(b, name, "A");
    }
    for (int i = 0; i < 5; i++)
        call(b, ":2.1", "B");
    for (int i = 0, of_other = 0; of_other < 5; i++) {
        _cleanup_(letter_freep) struct letter *l = gate_next(b->gate, GATE_ROOM_ANY, b->now);

        assert_true(l && i < 12);
        callers_spent(b->callers, l->user, 100, b->now);
        of_other += l->user->uid == STRANGER + 1;
    }
}

/* Beyond, a few are told, and nothing more is stored. */
static void test_what_waits_is_bounded(void **state)
{
    struct bench *b = *state;
    unsigned told = 0, passed = 0;
    struct letter *l;

    known(b, ":1.1", STRANGER);
    for (int i = 0; i < 5 * BUS_WAITING_MAX; i++)
        assert_int_equal(call(b, ":1.1", "A"), 0);
    while ((l = gate_next(b->gate, GATE_ROOM_ANY, b->now))) {
        told += l->fate == LETTER_TOO_MANY;
        passed += l->fate == LETTER_PASS;
        letter_free(l);
    }
    assert_int_equal(told, CALLERS_TOLD_PER_SEC);
    assert_in_range(passed, 100, BUS_WAITING_MAX);
}

static void test_large_ones(void **state)
{
    struct bench *b = *state;

    known(b, ":1.1", STRANGER);
    assert_int_equal(large(b, ":1.1", BUS_MESSAGE_MAX - 1024), 0);
    next_is(b, ":1.1", LETTER_PASS);
    assert_int_equal(large(b, ":1.1", BUS_MESSAGE_MAX), 0);
    next_is(b, ":1.1", LETTER_TOO_LARGE);
    assert_int_equal(call(b, ":1.1", "A"), 0);
    assert_int_equal(large(b, ":1.1", BUS_WAITING_BYTES), 0); /* behind another one */
    next_is(b, ":1.1", LETTER_TOO_MANY);
    next_is(b, ":1.1", LETTER_PASS);
    assert_int_equal(large(b, ":1.9", BUS_MESSAGE_MAX), 0);
    tell_uid(b, STRANGER);
    next_is(b, ":1.9", LETTER_TOO_LARGE);
    none(b);
}

/* Large answers that nobody asked for, of those whose small ones are passed on. */
static void test_large_answers_from_others(void **state)
{
    struct bench *b = *state;
    static uint8_t body[8 * BUS_LARGE];
    struct made m = make(2, ":1.1", "", 77, 0, NULL, sizeof(body));
    _cleanup_free_ uint8_t *copy = malloc(m.header); /* so that a sanitizer sees what is read behind it */

    known(b, ":1.1", 0);
    memcpy(copy, m.data, m.header);
    assert_int_equal(feed(b, copy, m.header, NULL, 0), 0);
    assert_int_equal(feed(b, body, sizeof(body), NULL, 0), 0);
    none(b);
    assert_int_equal(call(b, ":1.1", "A"), 0);
    next_is(b, ":1.1", LETTER_PASS);
}

/* A header of more than BUS_HEADER_MAX: not even its sender is read, and the stream goes on. */
static void test_large_headers(void **state)
{
    struct bench *b = *state;
    static uint8_t fields[MESSAGE_MAX];
    uint8_t head[16] = {'l', 1, 0, 1, 0, 0, 0, 0, 1};

    known(b, ":1.1", STRANGER);
    memcpy(head + 12, &(uint32_t){sizeof(fields)}, 4);
    assert_int_equal(feed(b, head, sizeof(head), NULL, 0), 0);
    assert_int_equal(feed(b, fields, sizeof(fields), NULL, 0), 0);
    none(b);
    assert_int_equal(call(b, ":1.1", "A"), 0);
    next_is(b, ":1.1", LETTER_PASS);
}

static void test_descriptors(void **state)
{
    struct bench *b = *state;
    struct letter *l;
    int first, fd;

    known(b, ":1.1", STRANGER);
    with_descriptors(b, ":1.1", 1, &fd);
    l = gate_next(b->gate, GATE_ROOM_ANY, b->now);
    assert_int_equal(l->fd, fd);
    letter_free(l);
    assert_false(is_open(fd));
    with_descriptors(b, ":1.1", 16, &fd);
    assert_false(is_open(fd));
    next_is(b, ":1.1", LETTER_DESCRIPTORS);
    with_descriptors(b, ":1.1", 1, &first);
    for (int i = 1; i < BUS_WAITING_DESCRIPTORS; i++)
        with_descriptors(b, ":1.1", 1, &fd);
    assert_true(is_open(fd));
    with_descriptors(b, ":1.1", 1, &fd);
    assert_false(is_open(fd));
    leaves(b, ":1.1");
    assert_false(is_open(first));
}

/* The rest of one message and the whole next one are read at once, and the descriptors are the latter's. */
static void test_whose_descriptors(void **state)
{
    struct bench *b = *state;
    struct made one = make(1, ":1.1", "A", 0, 1, NULL, 0), other = make(1, ":1.1", "B", 0, 1, NULL, 0);
    uint8_t both[1024];
    struct letter *l;
    int fds[2];

    known(b, ":1.1", 0);
    for (int i = 0; i < 2; i++)
        fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(feed(b, one.data, 40, &fds[0], 1), 0);
    memcpy(both, one.data + 40, one.header - 40);
    memcpy(both + one.header - 40, other.data, other.header);
    assert_int_equal(feed(b, both, one.header - 40 + other.header, &fds[1], 1), 0);
    for (int i = 0; i < 2; i++) {
        l = gate_next(b->gate, GATE_ROOM_ANY, b->now);
        assert_int_equal(l->fd, fds[i]);
        letter_free(l);
    }
}

/* A message that is passed over takes its descriptors along, and none of the next one's. */
static void test_descriptors_of_what_is_passed_over(void **state)
{
    struct bench *b = *state;
    static uint8_t body[BUS_MESSAGE_MAX];
    struct made big = make(1, ":1.1", "A", 0, 1, NULL, sizeof(body)), next = make(1, ":1.1", "B", 0, 1, NULL, 0);
    uint8_t both[1024] = {0};
    struct letter *l;
    int fds[2];

    known(b, ":1.1", 0);
    for (int i = 0; i < 2; i++)
        fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(feed(b, big.data, big.header, &fds[0], 1), 0);
    assert_int_equal(feed(b, body, sizeof(body) - 100, NULL, 0), 0);
    memcpy(both + 100, next.data, next.header);
    assert_int_equal(feed(b, both, 100 + next.header, &fds[1], 1), 0);
    assert_false(is_open(fds[0]));
    l = gate_next(b->gate, GATE_ROOM_ANY, b->now);
    assert_int_equal(l->fd, fds[1]);
    letter_free(l);
    next_is(b, ":1.1", LETTER_TOO_LARGE);
}

/* What those asked who have left is not carried out. */
static void test_who_leaves_is_forgotten(void **state)
{
    struct bench *b = *state;

    known(b, ":1.1", STRANGER);
    known(b, ":1.2", STRANGER);
    call(b, ":1.1", "A");
    call(b, ":1.2", "B");
    call(b, ":1.3", "C");
    leaves(b, ":1.3");
    leaves(b, ":1.1");
    assert_int_equal(b->n_gone, 2);
    next_is(b, ":1.2", LETTER_PASS);
    none(b);
    tell_uid(b, STRANGER); /* of the one that has left */
    letter_free(gate_next(b->gate, GATE_ROOM_ANY, b->now));
    none(b);
    assert_null(callers_find(b->callers, ":1.3"));
}

static void test_unasked_messages_are_dropped(void **state)
{
    struct bench *b = *state;
    struct made signal = make(4, ":1.1", "Sample", 0, 0, NULL, 0), answer = make(2, ":1.1", "", 77, 0, NULL, 0);
    struct caller *one;

    feed(b, signal.data, signal.header, NULL, 0);
    assert_int_equal(b->n_asked, 0);
    known(b, ":1.1", STRANGER);
    feed(b, answer.data, answer.header, NULL, 0);
    none(b);
    one = callers_find(b->callers, ":1.1");
    one->pings[CALLER_PING_SAMPLES] = 77;
    feed(b, answer.data, answer.header, NULL, 0);
    feed(b, answer.data, answer.header, NULL, 0);
    assert_int_equal(b->n_ponged, 1);
    none(b);
}

/* An answer that comes before its sender's user is known waits for that, and is then a stranger's. */
static void test_answers_of_strangers(void **state)
{
    struct bench *b = *state;
    struct made first = make(2, ":1.1", "", 77, 0, NULL, 0), second = make(2, ":1.2", "", 77, 0, NULL, 0);
    struct caller *one;

    feed(b, first.data, first.header, NULL, 0);
    assert_int_equal(b->n_asked, 1);
    tell_uid(b, STRANGER);
    none(b);
    one = callers_get(b->callers, ":1.2"); /* a service that is asked, under a user of its own */
    one->believed = true;
    assert_int_equal(callers_asked(b->callers, one, 990), 0);
    b->asked = 990;
    feed(b, second.data, second.header, NULL, 0);
    tell_uid(b, STRANGER);
    next_is(b, ":1.2", LETTER_PASS);
    feed(b, second.data, second.header, NULL, 0);
    next_is(b, ":1.2", LETTER_PASS);
    feed(b, first.data, first.header, NULL, 0);
    none(b);
}

/* Who has used up what there is of the processor waits, and gate_due() says how long. */
static void test_waiting_for_the_processor(void **state)
{
    struct bench *b = *state;
    uint64_t due;

    known(b, ":1.1", STRANGER);
    callers_spent(b->callers, callers_find(b->callers, ":1.1")->user, USEC_PER_SEC, b->now);
    call(b, ":1.1", "A");
    none(b);
    due = gate_due(b->gate, b->now);
    assert_true(due > b->now + USEC_PER_SEC && due < b->now + 60 * USEC_PER_SEC);
    b->now = due;
    next_is(b, ":1.1", LETTER_PASS);
    assert_true(gate_due(b->gate, b->now) == USEC_INFINITY);
}

static void test_what_is_no_stream(void **state)
{
    struct bench *b = *state;

    assert_int_equal(feed(b, "this is no message", 18, NULL, 0), -EBADMSG);
}

int main(void)
{
#define ONE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        ONE(test_a_sender_is_asked_for_once),
        ONE(test_any_cut),
        ONE(test_root_comes_first),
        ONE(test_answers_of_strangers),
        ONE(test_large_answers_wait),
        ONE(test_users_take_turns),
        ONE(test_what_waits_is_bounded),
        ONE(test_large_ones),
        ONE(test_large_answers_from_others),
        ONE(test_large_headers),
        ONE(test_descriptors),
        ONE(test_whose_descriptors),
        ONE(test_descriptors_of_what_is_passed_over),
        ONE(test_who_leaves_is_forgotten),
        ONE(test_unasked_messages_are_dropped),
        ONE(test_waiting_for_the_processor),
        ONE(test_what_is_no_stream),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
