/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a server, or somebody with its key, can send to an endpoint with requests and an observation outstanding.
 *
 * The input is a list of steps, each a byte that says what happens, a byte of length and so many bytes:
 *   op & 7 = 0..3  a datagram as it is
 *          4       a datagram with the token and, if it is an ACK or RST, the message id of what was sent last
 *          5       a datagram with the observation's token
 *          6       time passes: (op >> 3) seconds, at least to the next deadline
 *          7       by op >> 3: a GET, a PUT of 3000 bytes, reconnected, a smaller datagram_max, cancelled observation
 * Each request must end exactly once, and the endpoint may not send without end. */
#include "base/cleanup.h"
#include "coap/exchange.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUESTS_MAX 64

static struct {
    uint16_t mid;
    uint8_t token[COAP_TOKEN_SIZE], observed[COAP_TOKEN_SIZE];
    size_t sent;
} last;

static struct uplink_subscription *observation;
static unsigned ended[REQUESTS_MAX];
static uint64_t now;
static volatile uint8_t touched; /* so that what a callback is given is read */

static int send_datagram(void *userdata, const uint8_t *datagram, size_t n)
{
    struct coap_message m;
    uint32_t value;

    if (coap_message_parse(datagram, n, &m) < 0)
        abort(); /* what we send is a message */
    last.sent++;
    if (m.type > COAP_NON)
        return 0;
    last.mid = m.mid;
    memcpy(last.token, m.token, sizeof(last.token));
    if (coap_message_get_uint(&m, COAP_OPT_OBSERVE, &value) == 0)
        memcpy(last.observed, m.token, sizeof(last.observed));
    return 0;
}

static void done(int r, const struct uplink_response *response, void *userdata)
{
    if (++*(unsigned *)userdata != 1 || (r == 0) != (response != NULL))
        abort();
    for (size_t i = 0; response && i < response->payload_size; i++)
        touched ^= response->payload[i];
    if (response && response->location)
        touched ^= (uint8_t)strlen(response->location);
}

static void notified(int r, const struct uplink_response *response, void *userdata)
{
    if ((r == 0) != (response != NULL))
        abort();
}

static void ask(struct coap_endpoint *ep, uint8_t method, size_t payload_size, unsigned *n)
{
    static const uint8_t payload[3000];
    const struct uplink_request request = {.method = method,
                                           .target = "a/b?c",
                                           .content_format = 50,
                                           .accept = -1,
                                           .payload = payload,
                                           .payload_size = payload_size};

    if (*n == REQUESTS_MAX || coap_request(ep, now, &request, done, &ended[*n], NULL) < 0)
        return;
    ++*n;
}

static void feed(struct coap_endpoint *ep, uint8_t op, const uint8_t *data, size_t n)
{
    uint8_t *datagram = malloc(n ? n : 1);

    memcpy(datagram, data, n);
    if ((op & 7) >= 4 && n >= 4 + COAP_TOKEN_SIZE && datagram[1] != 0) {
        datagram[0] = (uint8_t)((datagram[0] & 0xf0) | COAP_TOKEN_SIZE);
        memcpy(datagram + 4, (op & 7) == 5 ? last.observed : last.token, COAP_TOKEN_SIZE);
    }
    if ((op & 7) == 4 && n >= 4 && (datagram[0] >> 4 & 3) >= COAP_ACK) {
        datagram[2] = (uint8_t)(last.mid >> 8);
        datagram[3] = (uint8_t)last.mid;
    }
    coap_endpoint_receive(ep, now, datagram, n);
    free(datagram);
}

static uint64_t time_now(void *userdata)
{
    return now;
}

static void pass(struct coap_endpoint *ep, uint64_t seconds)
{
    uint64_t deadline = coap_endpoint_deadline(ep);

    if (deadline != USEC_INFINITY)
        now = MAX_OF(now, deadline);
    now += seconds * USEC_PER_SEC;
    coap_endpoint_tick(ep, now);
}

static void command(struct coap_endpoint *ep, unsigned which, unsigned *n)
{
    switch (which) {
    case 0:
        ask(ep, COAP_GET, 0, n);
        break;
    case 1:
        ask(ep, COAP_PUT, 3000, n);
        break;
    case 2:
        coap_endpoint_reconnected(ep, now);
        break;
    case 3:
        coap_endpoint_set_datagram_max(ep, 300);
        break;
    case 4:
        uplink_subscription_cancel(TAKE_PTR(observation));
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct coap_endpoint_ops ops = {.send = send_datagram, .now = time_now};
    const struct coap_endpoint_options options = {.ops = &ops, .nstart = 2, .body_max = 5000, .seed = 1};
    struct coap_endpoint *ep;
    unsigned n = 0;
    size_t steps = 0;

    memset(&last, 0, sizeof(last));
    memset(ended, 0, sizeof(ended));
    now = USEC_PER_SEC;
    if (coap_endpoint_new(&options, &ep) < 0)
        return 0;
    coap_observe(ep, now, "o", -1, notified, NULL, &observation);
    ask(ep, COAP_GET, 0, &n);
    ask(ep, COAP_PUT, 1500, &n);
    while (size >= 2) {
        uint8_t op = data[0];
        size_t length = MIN_OF((size_t)data[1], size - 2);

        if ((op & 7) == 6)
            pass(ep, op >> 3);
        else if ((op & 7) == 7)
            command(ep, op >> 3, &n);
        else
            feed(ep, op, data + 2, length);
        data += 2 + length;
        size -= 2 + length;
        steps++;
    }
    /* A step may set free what is queued, and retransmit what is out; no more. */
    if (last.sent > 8 + steps * (REQUESTS_MAX + 4))
        abort();
    /* Without a peer, all that is left runs out. */
    uplink_subscription_cancel(TAKE_PTR(observation));
    for (unsigned i = 0; coap_endpoint_deadline(ep) != USEC_INFINITY; i++) {
        if (i == 16 * REQUESTS_MAX)
            abort();
        pass(ep, 0);
    }
    for (unsigned i = 0; i < n; i++)
        if (ended[i] != 1)
            abort();
    coap_endpoint_free(ep);
    return 0;
}
