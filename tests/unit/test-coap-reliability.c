/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Timeouts, loss and message ids; and a network that loses, repeats and delays, in which every request ends once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "coap/exchange.h"
#include "coap/reliability.h"

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static void test_rto(void **state)
{
    static const struct {
        uint64_t samples[4]; /* ms */
        uint64_t weak;       /* ms */
        uint64_t rto;        /* ms */
    } rows[] = {
        {{0}, 0, 2000},
        {{400}, 0, 1200},                 /* R + 4 * R/2 */
        {{400, 400}, 0, 1000},            /* var 150: 400 + 600 */
        {{400, 1200}, 0, 1000 * 1 + 900}, /* var 150 + 200, srtt 500: 500 + 1400 */
        {{10}, 0, 1000},                  /* the lower bound */
        {{20000}, 0, 32000},              /* the upper */
        {{900000}, 0, 32000},
        {{0}, 2400, 1500 + 900},     /* the first one lost: a quarter of 1.5 R */
        {{0}, 100000, 1500 + 24000}, /* no more than 2 * 32 s is believed */
        {{10}, 1250, 750 + 468},     /* on a fast path a loss changes little */
        {{10}, 20, 1000},
    };

    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        struct coap_random random = {.state = 1};
        struct coap_rtt t;
        uint64_t low = UINT64_MAX, high = 0;

        coap_rtt_init(&t);
        for (size_t k = 0; k < 4 && rows[i].samples[k]; k++)
            coap_rtt_sample(&t, rows[i].samples[k] * USEC_PER_MSEC);
        if (rows[i].weak)
            coap_rtt_weak_sample(&t, rows[i].weak * USEC_PER_MSEC);
        assert_int_equal(t.rto / USEC_PER_MSEC, rows[i].rto);
        for (int k = 0; k < 1000; k++) {
            uint64_t timeout = coap_rtt_timeout(&t, &random);

            low = MIN_OF(low, timeout);
            high = MAX_OF(high, timeout);
        }
        assert_in_range(low, t.rto, t.rto + t.rto / 100);
        assert_in_range(high, t.rto + t.rto / 2 - t.rto / 100, t.rto + t.rto / 2);
    }
    assert_int_equal(coap_rtt_next_timeout(3 * USEC_PER_SEC), 6 * USEC_PER_SEC);
    assert_int_equal(coap_rtt_next_timeout(40 * USEC_PER_SEC), 48 * USEC_PER_SEC);
}

/* Transmissions at rto, 3 * rto, ... until the answer to the first is there: the timeout becomes longer than the path.
 */
static void test_a_slow_path_is_learnt(void **state)
{
    static const uint64_t paths[] = {3, 5, 10, 20};

    for (size_t i = 0; i < ELEMENTSOF(paths); i++) {
        uint64_t path = paths[i] * USEC_PER_SEC;
        struct coap_rtt t;
        int n = 0;

        coap_rtt_init(&t);
        for (; t.rto < path && n < 100; n++)
            coap_rtt_weak_sample(&t, path);
        assert_in_range(n, 1, 4);
        coap_rtt_sample(&t, path);
        assert_true(t.rto > path);
    }
}

/* Every other message lost once: a fast path's timeout stays near its lower bound, and a clean sample ends it. */
static void test_loss_is_not_taken_for_slowness(void **state)
{
    struct coap_rtt t;

    coap_rtt_init(&t);
    for (int i = 0; i < 100; i++) {
        coap_rtt_weak_sample(&t, (uint64_t)t.rto + t.rto / 4);
        coap_rtt_weak_sample(&t, (uint64_t)t.rto + t.rto / 4);
        assert_true(t.rto < 4 * USEC_PER_SEC);
        coap_rtt_sample(&t, USEC_PER_MSEC);
        assert_int_equal(t.rto, 1 * USEC_PER_SEC);
    }
}

static void test_loss(void **state)
{
    static const struct {
        unsigned percent, low, high; /* tolerated, but for one moment in 20 */
    } rows[] = {{0, 2, 2}, {1, 2, 2}, {5, 2, 3}, {20, 2, 4}, {40, 3, 6}, {51, 4, 7}};

    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        struct coap_random random = {.state = 3};
        struct coap_loss loss = {0};
        unsigned outside = 0;

        for (int k = 0; k < 10000; k++) {
            unsigned transmissions = 1;

            while (coap_random_upto(&random, 99) < rows[i].percent)
                transmissions++;
            coap_loss_answered(&loss, transmissions);
            if (k > 100 && (coap_loss_tolerated(&loss) < rows[i].low || coap_loss_tolerated(&loss) > rows[i].high))
                outside++;
        }
        assert_in_range(outside, 0, 500);
    }
    /* Lost ones count before their message is answered. */
    {
        struct coap_loss l = {.share = 0};

        coap_loss_lost(&l, 4);
        assert_int_equal(coap_loss_tolerated(&l), 2);
        coap_loss_lost(&l, 1);
        assert_int_equal(coap_loss_tolerated(&l), 3);
    }
    /* The borders: p^2 to p^6 just under 2 %. */
    assert_int_equal(coap_loss_tolerated(&(struct coap_loss){.share = 65536 * 1414 / 10000}), 2);
    assert_int_equal(coap_loss_tolerated(&(struct coap_loss){.share = 65536 * 1416 / 10000}), 3);
    assert_int_equal(coap_loss_tolerated(&(struct coap_loss){.share = 65536 * 2713 / 10000}), 3);
    assert_int_equal(coap_loss_tolerated(&(struct coap_loss){.share = 65536 * 2716 / 10000}), 4);
    assert_int_equal(coap_loss_tolerated(&(struct coap_loss){.share = 65536 * 3760 / 10000}), 4);
    assert_int_equal(coap_loss_tolerated(&(struct coap_loss){.share = 65536 * 3762 / 10000}), 5);
    assert_int_equal(coap_loss_tolerated(&(struct coap_loss){.share = 65536 * 4572 / 10000}), 5);
    assert_int_equal(coap_loss_tolerated(&(struct coap_loss){.share = 65536 * 4574 / 10000}), 6);
    assert_int_equal(coap_loss_tolerated(&(struct coap_loss){.share = 65536 * 5209 / 10000}), 6);
    assert_int_equal(coap_loss_tolerated(&(struct coap_loss){.share = 65536 * 5211 / 10000}), 7);
    assert_int_equal(coap_loss_tolerated(&(struct coap_loss){.share = 65535}), 7);
}

/* Whoever takes message ids as fast as there are some does not get one twice within EXCHANGE_LIFETIME. */
static void test_mids(void **state)
{
    static uint64_t taken_at[65536];
    struct coap_random random = {.state = 5};
    struct coap_mids mids;
    uint64_t now = 1;
    uint16_t mid;

    coap_mids_init(&mids, &random);
    for (int i = 0; i < 200000; i++) {
        now = coap_mids_when(&mids, now);
        assert_true(coap_mids_take(&mids, now, &mid));
        assert_true(taken_at[mid] == 0 || now - taken_at[mid] >= COAP_EXCHANGE_LIFETIME);
        taken_at[mid] = now;
    }
    while (coap_mids_take(&mids, now, &mid))
        ;
    assert_true(coap_mids_when(&mids, now) > now);
}

static void test_random(void **state)
{
    struct coap_random system = {0}, a = {.state = 1}, b = {.state = 2};
    uint8_t x[13] = {0}, y[13] = {0};

    coap_random_bytes(&system, x, sizeof(x));
    coap_random_bytes(&system, y, sizeof(y));
    assert_memory_not_equal(x, y, sizeof(x));
    coap_random_bytes(&a, x, sizeof(x));
    coap_random_bytes(&b, y, sizeof(y));
    assert_memory_not_equal(x, y, sizeof(x));
    for (int i = 0; i < 100; i++)
        assert_true(coap_random_upto(&system, 3) <= 3);
    assert_int_equal(coap_random_upto(&system, 0), 0);
}

/* A network with one server behind it. */
#define FLIGHTS 512
struct flight {
    uint64_t at;
    bool to_server;
    size_t size;
    uint8_t datagram[COAP_DATAGRAM_LIMIT];
};
static struct {
    struct coap_endpoint *ep;
    struct coap_random random;
    uint64_t now;
    unsigned loss_percent;
    struct flight flights[FLIGHTS];
    size_t n_flights;
    uint16_t server_mid;
} net;

struct asked {
    unsigned ended;
    int r;
    size_t size;
};

static void put(const uint8_t *datagram, size_t n, bool to_server, uint64_t later)
{
    unsigned copies = coap_random_upto(&net.random, 99) < net.loss_percent ? 0 : 1;

    if (copies && coap_random_upto(&net.random, 9) == 0)
        copies = 2;
    while (copies-- > 0 && net.n_flights < FLIGHTS) {
        struct flight *f = &net.flights[net.n_flights++];

        f->at = net.now + later + coap_random_upto(&net.random, 800 * USEC_PER_MSEC);
        f->to_server = to_server;
        f->size = n;
        memcpy(f->datagram, datagram, n);
    }
}

static int net_send(void *userdata, const uint8_t *datagram, size_t n)
{
    put(datagram, n, true, 0);
    return 0;
}

static void server_send(struct coap_message *m)
{
    uint8_t buf[COAP_DATAGRAM_LIMIT];
    ssize_t n = coap_message_write(m, buf, sizeof(buf));

    assert_true(n > 0);
    /* Confirmable ones three times, as if no acknowledgement arrived in time. */
    for (unsigned i = 0; i < (m->type == COAP_CON ? 3 : 1); i++)
        put(buf, (size_t)n, false, i * 3 * USEC_PER_SEC);
}

/* Takes Block1 as it comes, answers GET with 40 bytes in blocks of 16; half the time in a separate response. */
static void server_receive(const uint8_t *datagram, size_t n)
{
    static const uint8_t body[40] = "0123456789012345678901234567890123456789";
    struct coap_message m, answer = {0};
    uint32_t block = 0;

    assert_int_equal(coap_message_parse(datagram, n, &m), 0);
    if (m.type != COAP_CON)
        return;
    if (m.code == COAP_EMPTY) {
        answer.type = COAP_RST;
        answer.mid = m.mid;
        server_send(&answer);
        return;
    }
    answer.type = COAP_ACK;
    answer.mid = m.mid;
    if (m.mid & 1) {
        server_send(&answer);
        answer.type = COAP_CON;
        answer.mid = net.server_mid++;
    }
    answer.token_size = m.token_size;
    memcpy(answer.token, m.token, m.token_size);
    if (m.code == COAP_GET) {
        size_t offset;

        coap_message_get_uint(&m, COAP_OPT_BLOCK2, &block);
        offset = (block >> 4) * 16;
        assert_true(offset < sizeof(body));
        answer.code = COAP_CONTENT;
        answer.payload = body + offset;
        answer.payload_size = MIN_OF(sizeof(body) - offset, (size_t)16);
        coap_message_add_uint(&answer, COAP_OPT_BLOCK2, (block & ~15u) | (offset + 16 < sizeof(body) ? 8 : 0));
    } else {
        answer.code = COAP_CHANGED;
        if (coap_message_get_uint(&m, COAP_OPT_BLOCK1, &block) == 0) {
            answer.code = block & 8 ? COAP_CONTINUE : COAP_CHANGED;
            coap_message_add_uint(&answer, COAP_OPT_BLOCK1, block);
        }
    }
    server_send(&answer);
}

static void asked_done(int r, const struct uplink_response *response, void *userdata)
{
    struct asked *a = userdata;

    a->ended++;
    a->r = r;
    a->size = response ? response->payload_size : 0;
    if (r == 0 && a->size > 0)
        assert_memory_equal(response->payload, "0123456789012345678901234567890123456789", 40);
}

/* The next thing in time: a datagram's arrival, or the endpoint's deadline. False when there is neither. */
static bool step(void)
{
    size_t first = 0;
    uint64_t deadline = coap_endpoint_deadline(net.ep);
    struct flight f;

    for (size_t i = 1; i < net.n_flights; i++)
        if (net.flights[i].at < net.flights[first].at)
            first = i;
    if (net.n_flights == 0 && deadline == USEC_INFINITY)
        return false;
    if (net.n_flights == 0 || deadline < net.flights[first].at) {
        net.now = MAX_OF(net.now, deadline);
        coap_endpoint_tick(net.ep, net.now);
        return true;
    }
    f = net.flights[first];
    net.flights[first] = net.flights[--net.n_flights];
    net.now = MAX_OF(net.now, f.at);
    if (f.to_server)
        server_receive(f.datagram, f.size);
    else
        coap_endpoint_receive(net.ep, net.now, f.datagram, f.size);
    return true;
}

static void simulate(unsigned loss_percent, uint64_t seed, unsigned *ret_answered, uint64_t *ret_loss_permille)
{
    static const struct coap_endpoint_ops ops = {.send = net_send};
    const struct coap_endpoint_options options = {
        .ops = &ops, .nstart = 1 + (unsigned)seed % 4, .block_size = 16u << seed % 3, .seed = seed};
    struct asked asked[30] = {0};
    struct coap_statistics s;

    memset(&net, 0, sizeof(net));
    net.now = USEC_PER_SEC;
    net.random.state = seed + 1000;
    net.loss_percent = loss_percent;
    assert_int_equal(coap_endpoint_new(&options, &net.ep), 0);
    for (size_t i = 0; i < ELEMENTSOF(asked); i++) {
        static const uint8_t payload[100];
        const struct uplink_request request = {.method = i % 2 ? COAP_GET : COAP_PUT,
                                               .target = "a/b",
                                               .content_format = -1,
                                               .accept = -1,
                                               .payload = payload,
                                               .payload_size = i % 2 ? 0 : i * 3};

        assert_int_equal(coap_request(net.ep, net.now, &request, asked_done, &asked[i], NULL), 0);
        for (unsigned k = (unsigned)coap_random_upto(&net.random, 6); k > 0; k--)
            step();
        if (i == 17)
            coap_endpoint_reconnected(net.ep, net.now);
    }
    while (step())
        ;
    coap_endpoint_statistics(net.ep, &s);
    assert_int_equal(s.exchanges, 0);
    *ret_loss_permille += s.loss_permille;
    net.ep = coap_endpoint_free(net.ep);
    for (size_t i = 0; i < ELEMENTSOF(asked); i++) {
        assert_int_equal(asked[i].ended, 1);
        if (asked[i].r != 0 && asked[i].r != -ETIMEDOUT)
            fail_msg("loss %u %%, seed %u: request %zu ended with %d", loss_percent, (unsigned)seed, i, asked[i].r);
        if (asked[i].r == 0)
            assert_int_equal(asked[i].size, i % 2 ? 40 : 0);
        *ret_answered += asked[i].r == 0;
    }
}

static void test_lossy_network(void **state)
{
    static const struct {
        unsigned loss_percent, at_least_percent; /* answered */
        unsigned measured_low, measured_high;    /* percent lost there or back */
    } rows[] = {{0, 100, 0, 0}, {5, 99, 7, 13}, {20, 97, 28, 42}, {50, 50, 50, 75}, {100, 0, 0, 0}};

    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        unsigned answered = 0;
        uint64_t loss_permille = 0; /* of 100 runs */

        for (uint64_t seed = 1; seed <= 100; seed++)
            simulate(rows[i].loss_percent, seed, &answered, &loss_permille);
        if (answered * 100 < rows[i].at_least_percent * 3000)
            fail_msg("loss %u %%: %u of 3000 answered", rows[i].loss_percent, answered);
        assert_in_range(loss_permille / 1000, rows[i].measured_low, rows[i].measured_high);
        if (rows[i].loss_percent == 100)
            assert_int_equal(answered, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rto),
        cmocka_unit_test(test_a_slow_path_is_learnt),
        cmocka_unit_test(test_loss_is_not_taken_for_slowness),
        cmocka_unit_test(test_loss),
        cmocka_unit_test(test_mids),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_lossy_network),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
