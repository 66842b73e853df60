/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Answers are found in whatever the line brings, however it is cut, and nothing else is taken for one. */

#include "modbus/frame.h"

#include "modbus/pdu.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define N(a) (sizeof(a) / sizeof((a)[0]))
#define BYTES_MAX 512

struct bytes {
    uint8_t b[BYTES_MAX];
    size_t n;
};

static void add(struct bytes *to, const uint8_t *b, size_t n)
{
    memcpy(to->b + to->n, b, n);
    to->n += n;
}

/* "01 03 02 12 34 CRC": the CRC is that of what comes after the last '|'. */
static struct bytes make(const char *text)
{
    struct bytes r = {0};
    size_t begin = 0;

    for (; *text; text += strcspn(text, " "), text += strspn(text, " ")) {
        if (*text == '|') {
            begin = r.n;
        } else if (strncmp(text, "CRC", 3) == 0) {
            uint16_t crc = frame_crc(r.b + begin, r.n - begin);
            add(&r, (uint8_t[]){(uint8_t)crc, (uint8_t)(crc >> 8)}, 2);
            begin = r.n;
        } else {
            r.b[r.n++] = (uint8_t)strtoul(text, NULL, 16);
        }
    }
    return r;
}

static struct frame_request read_request(enum framing framing, uint16_t address, uint16_t count)
{
    struct frame_request r = {.framing = framing, .transaction = 0x0102, .check_transaction = true, .unit = 1};

    r.pdu_size = pdu_read(TABLE_HOLDING, address, count, r.pdu);
    return r;
}

/* Feeds the bytes in pieces of `step`; the verdict that ended it. */
static enum frame_verdict feed(const struct frame_request *r, const struct bytes *in, size_t step,
                               struct frame_answer *answer, struct frame_noise *noise)
{
    struct frame_buffer buffer = {0};
    enum frame_verdict v = FRAME_WAIT;

    *noise = (struct frame_noise){0};
    for (size_t i = 0; i < in->n && v == FRAME_WAIT; i += step) {
        size_t n = in->n - i < step ? in->n - i : step;
        memcpy(buffer.bytes + buffer.n, in->b + i, n);
        buffer.n += n;
        v = frame_take(&buffer, r, answer, noise);
    }
    return v;
}

static void test_crc(void **state)
{
    /* Specification and implementation guide for MODBUS over serial line V1.02, section 6.2.2. */
    const uint8_t frame[] = {0x02, 0x07};

    (void)state;
    assert_int_equal(frame_crc(frame, 2), 0x1241);
    assert_int_equal(frame_crc((const uint8_t *)"123456789", 9), 0x4b37);
}

/* Unit 1 was asked for the holding registers 8 and 9. */
static const struct {
    const char *name;
    const char *bytes;
    int value; /* of register 8; an exception as -1 - code; INT_MIN: no answer */
} rtu[] = {
    {"good", "| 01 03 04 12 34 56 78 CRC", 0x1234},
    {"a zero before it", "00 | 01 03 04 12 34 56 78 CRC", 0x1234},
    {"FF before it", "FF FF | 01 03 04 12 34 56 78 CRC", 0x1234},
    {"the echo before it", "| 01 03 00 08 00 02 CRC | 01 03 04 12 34 56 78 CRC", 0x1234},
    {"noise that begins like it", "01 03 04 | 01 03 04 12 34 56 78 CRC", 0x1234},
    {"noise behind it", "| 01 03 04 12 34 56 78 CRC 99 01 03", 0x1234},
    {"another unit's before it", "| 02 03 04 AA AA AA AA CRC | 01 03 04 12 34 56 78 CRC", 0x1234},
    {"another length before it", "| 01 03 02 AA AA CRC | 01 03 04 12 34 56 78 CRC", 0x1234},
    {"another function before it", "| 01 04 04 AA AA AA AA CRC | 01 03 04 12 34 56 78 CRC", 0x1234},
    {"another master's request and its answer",
     "| 01 03 00 20 00 02 CRC | 01 03 04 AA AA AA AA CRC | 01 03 04 12 34 56 78 CRC", 0x1234},
    {"another master's only", "| 01 03 00 20 00 02 CRC | 01 03 04 AA AA AA AA CRC", INT32_MIN},
    {"a broadcast before it", "| 00 06 00 01 00 02 CRC | 01 03 04 12 34 56 78 CRC", 0x1234},
    {"a wrong CRC", "| 01 03 04 12 34 56 78 00 00", INT32_MIN},
    {"a wrong CRC, then a good one", "| 01 03 04 12 34 56 78 00 00 | 01 03 04 43 21 56 78 CRC", 0x4321},
    {"a byte too few", "| 01 03 04 12 34 56 CRC", INT32_MIN},
    {"a byte too many within", "| 01 03 04 12 34 00 56 78 CRC", INT32_MIN},
    {"only the echo", "| 01 03 00 08 00 02 CRC", INT32_MIN},
    {"exception 2", "| 01 83 02 CRC", -3},
    {"exception 0", "| 01 83 00 CRC", -1},
    {"exception 0x80", "| 01 83 80 CRC", -1 - 0x80},
    {"another function's exception", "| 01 84 02 CRC", INT32_MIN},
};

static void test_rtu(void **state)
{
    struct frame_request r = read_request(FRAMING_RTU, 8, 2);

    (void)state;
    for (size_t i = 0; i < N(rtu); i++) {
        struct bytes in = make(rtu[i].bytes);
        for (size_t step = 1; step <= in.n; step++) {
            struct frame_answer a = {0};
            struct frame_noise noise;
            enum frame_verdict v = feed(&r, &in, step, &a, &noise);
            int value = INT32_MIN;
            if (v == FRAME_GOOD) {
                uint16_t values[2] = {0};
                if (pdu_exception(a.pdu) < 0)
                    pdu_values(TABLE_HOLDING, 2, a.pdu, values);
                value = pdu_exception(a.pdu) >= 0 ? -1 - pdu_exception(a.pdu) : values[0];
            }
            if (value != rtu[i].value)
                fail_msg("%s, %zu bytes at a time: %d", rtu[i].name, step, value);
        }
    }
}

/* Makers answer with codes of their own: each byte is a code, none is taken for a value or for silence. */
static void test_any_exception(void **state)
{
    struct frame_request rtu_read = read_request(FRAMING_RTU, 8, 2), tcp_read = read_request(FRAMING_TCP, 8, 1);

    (void)state;
    for (int code = 0; code <= 255; code++) {
        char text[64];
        struct frame_answer a = {0};
        struct frame_noise noise;
        (void)snprintf(text, sizeof text, "| 01 83 %02X CRC", (unsigned)code);
        struct bytes line = make(text);
        assert_int_equal(feed(&rtu_read, &line, 1, &a, &noise), FRAME_GOOD);
        assert_int_equal(pdu_exception(a.pdu), code);
        (void)snprintf(text, sizeof text, "01 02 00 00 00 03 01 83 %02X", (unsigned)code);
        struct bytes server = make(text);
        assert_int_equal(feed(&tcp_read, &server, 1, &a, &noise), FRAME_GOOD);
        assert_int_equal(pdu_exception(a.pdu), code);
        assert_true(pdu_exception_text(code)[0] != '\0');
    }
}

static void test_rtu_says_what_came(void **state)
{
    struct frame_request r = read_request(FRAMING_RTU, 8, 2);
    struct bytes wrong = make("| 01 03 04 12 34 56 78 00 00"), noise_only = make("55 AA 55");
    struct frame_answer a;
    struct frame_noise noise;

    (void)state;
    assert_int_equal(feed(&r, &wrong, 1, &a, &noise), FRAME_WAIT);
    assert_int_equal(noise.bad_crc, 1);
    assert_int_equal(feed(&r, &noise_only, 1, &a, &noise), FRAME_WAIT);
    assert_int_equal(noise.bad_crc, 0);
    assert_int_equal(noise.bytes, 3);
}

/* Whatever fills the buffer, there is room for an answer behind it. */
static void test_rtu_endless_noise(void **state)
{
    struct frame_request r = read_request(FRAMING_RTU, 8, 2);
    struct bytes good = make("| 01 03 04 12 34 56 78 CRC");
    struct frame_buffer buffer = {0};
    struct frame_noise noise = {0};
    struct frame_answer a;

    (void)state;
    for (unsigned i = 0; i < 5000; i++) {
        assert_true(buffer.n < sizeof buffer.bytes);
        buffer.bytes[buffer.n++] = (uint8_t)(i % 7);
        assert_int_equal(frame_take(&buffer, &r, &a, &noise), FRAME_WAIT);
    }
    for (size_t i = 0; i < good.n; i++) {
        buffer.bytes[buffer.n++] = good.b[i];
        assert_int_equal(frame_take(&buffer, &r, &a, &noise), i + 1 < good.n ? FRAME_WAIT : FRAME_GOOD);
    }
}

static void test_echo(void **state)
{
    struct frame_request r = read_request(FRAMING_RTU, 8, 2);
    struct bytes in = make("00 | 01 03 00 08 00 02 CRC | 01 03 04 12 34 56 78 CRC");
    struct frame_buffer buffer = {0};
    struct frame_noise noise = {0};
    struct frame_answer a;
    uint8_t adu[ADU_MAX];

    (void)state;
    size_t n = frame_encode(&r, adu);
    assert_int_equal(n, 8);
    for (size_t i = 0; i < 9; i++) {
        assert_false(frame_drop_echo(&buffer, adu, n));
        buffer.bytes[buffer.n++] = in.b[i];
    }
    memcpy(buffer.bytes + buffer.n, in.b + 9, in.n - 9);
    buffer.n += in.n - 9;
    assert_true(frame_drop_echo(&buffer, adu, n));
    assert_int_equal(buffer.n, in.n - 9);
    assert_int_equal(frame_take(&buffer, &r, &a, &noise), FRAME_GOOD);
    assert_int_equal(noise.bytes, 0);
}

/* Unit 1 was asked for holding register 8 in transaction 0102. */
static const struct {
    const char *name;
    const char *bytes;
    enum frame_verdict verdict;
    bool any_transaction;
} tcp[] = {
    {"good", "01 02 00 00 00 05 01 03 02 12 34", FRAME_GOOD, false},
    {"a late answer before it", "01 01 00 00 00 05 01 03 02 AA AA 01 02 00 00 00 05 01 03 02 12 34", FRAME_GOOD, false},
    {"two late answers", "01 00 00 00 00 05 01 03 02 AA AA 01 01 00 00 00 05 01 03 02 AA AA", FRAME_WAIT, false},
    {"another unit", "01 02 00 00 00 05 02 03 02 12 34", FRAME_WAIT, false},
    {"another transaction, accepted", "77 77 00 00 00 05 01 03 02 12 34", FRAME_GOOD, true},
    {"another length, not ours", "77 77 00 00 00 07 01 03 04 12 34 56 78", FRAME_WAIT, true},
    {"exception 0x80", "01 02 00 00 00 03 01 83 80", FRAME_GOOD, false},
    {"an exception with more behind it", "01 02 00 00 00 05 01 83 02 00 00", FRAME_GOOD, false},
    {"another function", "01 02 00 00 00 05 01 04 02 12 34", FRAME_ODD, false},
    {"another length", "01 02 00 00 00 07 01 03 04 12 34 56 78", FRAME_ODD, false},
    {"a byte count that lies", "01 02 00 00 00 05 01 03 04 12 34", FRAME_ODD, false},
    {"no Modbus", "48 54 54 50 2F 31 2E 31", FRAME_LOST, false},
    {"length zero", "01 02 00 00 00 00 01 03", FRAME_LOST, false},
    {"length huge", "01 02 00 00 FF FF 01 03", FRAME_LOST, false},
    {"not yet", "01 02 00 00 00 05 01 03 02 12", FRAME_WAIT, false},
};

static void test_tcp(void **state)
{
    (void)state;
    for (size_t i = 0; i < N(tcp); i++) {
        struct frame_request r = read_request(FRAMING_TCP, 8, 1);
        struct bytes in = make(tcp[i].bytes);
        r.check_transaction = !tcp[i].any_transaction;
        for (size_t step = 1; step <= in.n; step++) {
            struct frame_answer a;
            struct frame_noise noise;
            enum frame_verdict v = feed(&r, &in, step, &a, &noise);
            if (v != tcp[i].verdict)
                fail_msg("%s, %zu bytes at a time: %d", tcp[i].name, step, (int)v);
            if (v == FRAME_GOOD && pdu_exception(a.pdu) < 0)
                assert_int_equal(a.pdu[2] << 8 | a.pdu[3], 0x1234);
        }
    }
}

/* Units 0 and 255 are the server itself, which may have a number of its own. */
static void test_tcp_server_itself(void **state)
{
    struct bytes in = make("01 02 00 00 00 05 01 03 02 12 34");
    struct frame_request r = read_request(FRAMING_TCP, 8, 1);
    struct frame_answer a;
    struct frame_noise noise;

    (void)state;
    r.unit = 255;
    assert_int_equal(feed(&r, &in, 1, &a, &noise), FRAME_GOOD);
    r.unit = 0;
    assert_int_equal(feed(&r, &in, 1, &a, &noise), FRAME_GOOD);
    r.unit = 2;
    assert_int_equal(feed(&r, &in, 1, &a, &noise), FRAME_WAIT);
    assert_int_equal(noise.other_units, 1);
}

/* An answer that says its own length, in pieces and with noise around it. */
static void test_identification(void **state)
{
    struct bytes rtu_in = make("00 2B | 01 2B 0E 01 01 00 00 03 00 03 41 42 43 01 01 58 02 02 31 07 CRC 55");
    struct bytes tcp_in = make("01 02 00 00 00 14 01 2B 0E 01 01 00 00 03 00 03 41 42 43 01 01 58 02 02 31 07");
    struct bytes lies = make("01 02 00 00 00 0B 01 2B 0E 01 01 00 00 03 00 FF 41");

    (void)state;
    for (int framing = FRAMING_TCP; framing <= FRAMING_RTU; framing++) {
        struct frame_request r = {
            .framing = (enum framing)framing, .transaction = 0x0102, .check_transaction = true, .unit = 1};
        const struct bytes *in = framing == FRAMING_RTU ? &rtu_in : &tcp_in;
        r.pdu_size = pdu_identify(r.pdu);
        for (size_t step = 1; step <= in->n; step++) {
            struct pdu_identification id;
            struct frame_answer a;
            struct frame_noise noise;
            assert_int_equal(feed(&r, in, step, &a, &noise), FRAME_GOOD);
            pdu_identification(a.pdu, a.pdu_size, &id);
            assert_string_equal(id.texts[0], "ABC");
            assert_string_equal(id.texts[1], "X");
            assert_string_equal(id.texts[2], "1?");
        }
        struct frame_answer a;
        struct frame_noise noise;
        if (framing == FRAMING_TCP)
            assert_int_equal(feed(&r, &lies, 3, &a, &noise), FRAME_ODD);
    }
}

/* Half a late answer stays, so that the next frame is found behind it; whole ones go. */
static void test_flush(void **state)
{
    struct bytes in = make("01 01 00 00 00 05 01 03 02 AA AA 01 01 00 00 00 05 01 03");
    struct frame_buffer buffer = {0};

    (void)state;
    memcpy(buffer.bytes, in.b, in.n);
    buffer.n = in.n;
    frame_flush(&buffer, FRAMING_TCP);
    assert_int_equal(buffer.n, 8);
    frame_flush(&buffer, FRAMING_RTU);
    assert_int_equal(buffer.n, 0);
}

static const struct {
    enum modbus_table table;
    uint16_t address, count;
    uint16_t values[3];
    bool multiple;
    const char *pdu;
    size_t answer;
} writes[] = {
    {TABLE_COIL, 172, 1, {1}, false, "05 00 AC FF 00", 5},
    {TABLE_COIL, 172, 1, {0}, false, "05 00 AC 00 00", 5},
    {TABLE_COIL, 19, 3, {1, 0, 7}, false, "0F 00 13 00 03 01 05", 5},
    {TABLE_HOLDING, 1, 1, {3}, false, "06 00 01 00 03", 5},
    {TABLE_HOLDING, 1, 1, {3}, true, "10 00 01 00 01 02 00 03", 5},
    {TABLE_HOLDING, 1, 2, {10, 0x102}, false, "10 00 01 00 02 04 00 0A 01 02", 5},
};

static void test_writes(void **state)
{
    uint8_t pdu[PDU_MAX], answer[5];

    (void)state;
    for (size_t i = 0; i < N(writes); i++) {
        struct bytes expected = make(writes[i].pdu);
        size_t n =
            pdu_write(writes[i].table, writes[i].address, writes[i].count, writes[i].values, writes[i].multiple, pdu);
        assert_int_equal(n, expected.n);
        assert_memory_equal(pdu, expected.b, n);
        assert_int_equal(pdu_answer_size(pdu, n), writes[i].answer);
        memcpy(answer, pdu, 5);
        assert_true(pdu_answers(pdu, n, answer, 5));
        answer[2] ^= 1; /* another place */
        assert_false(pdu_answers(pdu, n, answer, 5));
    }
}

static void test_bits(void **state)
{
    const uint8_t answer[] = {1, 2, 0xcd, 0x01};
    uint16_t values[9];

    (void)state;
    pdu_values(TABLE_COIL, 9, answer, values);
    for (size_t i = 0; i < 9; i++)
        assert_int_equal(values[i], "101100111"[i] - '0');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crc),
        cmocka_unit_test(test_rtu),
        cmocka_unit_test(test_any_exception),
        cmocka_unit_test(test_rtu_says_what_came),
        cmocka_unit_test(test_rtu_endless_noise),
        cmocka_unit_test(test_echo),
        cmocka_unit_test(test_tcp),
        cmocka_unit_test(test_tcp_server_itself),
        cmocka_unit_test(test_identification),
        cmocka_unit_test(test_flush),
        cmocka_unit_test(test_writes),
        cmocka_unit_test(test_bits),
    };

    return cmocka_run_group_tests_name("modbus-frame", tests, NULL, NULL);
}
