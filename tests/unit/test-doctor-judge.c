/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A wrong cause costs a day at a cabinet: each kind of trouble has its finding, and its command names the device. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "doctor/judge.h"

#include <cmocka.h>
#include <string.h>

/* A device that is well; a case changes what is not. */
struct ground {
    struct device_status status;
    struct config_device device;
    struct config_uplink uplink;
    struct judged judged;
};

static void begin(struct ground *g)
{
    *g = (struct ground){
        .status = {.id = "boiler-1",
                   .driver = "sim",
                   .uplink = "cloud",
                   .state = DEVICE_ONLINE,
                   .sensor.state = SENSOR_OK,
                   .sensor.reason = "",
                   .keys.main_identity = "9f3c-1",
                   .session.suite = "ECDHE-PSK",
                   .session.forward_secrecy = true,
                   .last_error = "",
                   .trouble.words = ""},
        .device = {.id = (char *)"boiler-1",
                   .driver = (char *)"modbus",
                   .enabled = true,
                   .file = (char *)"/etc/gatehouse/devices.d/boiler-1.json",
                   .address = (char *)""},
        .uplink = {.name = (char *)"cloud", .url = (char *)"coaps://cloud.example", .host = (char *)"cloud.example"},
    };
    g->judged = (struct judged){.status = &g->status,
                                .device = &g->device,
                                .uplink = &g->uplink,
                                .config_file = "/etc/gatehouse/gatehouse.json"};
}

#define EDIT_DEVICE "sudoedit /etc/gatehouse/devices.d/boiler-1.json && sudo gatehousectl reload"

/* Exactly this one, with these words in its cause, and this command or its beginning. */
static void expect_words(struct ground *g, enum finding_id id, const char *cause, const char *mend)
{
    struct findings f = {0};

    judge_device(&g->judged, &f);
    assert_int_equal(f.n, 1);
    assert_string_equal(finding_kinds[f.list[0].id].name, finding_kinds[id].name);
    if (!strstr(f.list[0].cause, cause) || strncmp(f.list[0].mend, mend, strlen(mend)) != 0)
        fail_msg("not in it, %s or %s: %s, %s", cause, mend, f.list[0].cause, f.list[0].mend);
    findings_done(&f);
}

/* Exactly this one, of that subject, and a command with these words. */
static void expect(struct ground *g, enum finding_id id, const char *subject, const char *mend)
{
    struct findings f = {0};

    judge_device(&g->judged, &f);
    assert_int_equal(f.n, 1);
    assert_string_equal(finding_kinds[f.list[0].id].name, finding_kinds[id].name);
    assert_string_equal(f.list[0].subject, subject);
    assert_non_null(strstr(f.list[0].mend, mend));
    assert_true(f.list[0].cause[0] != 0);
    findings_done(&f);
}

static void expect_none(struct ground *g)
{
    struct findings f = {0};

    judge_device(&g->judged, &f);
    assert_int_equal(f.n, 0);
    findings_done(&f);
}

static void test_well(void **state)
{
    struct ground g;

    begin(&g);
    expect_none(&g);
    g.status.state = DEVICE_IDLE;
    expect_none(&g);
    g.status.state = DEVICE_CONNECTING;
    g.status.session.suite = "";
    expect_none(&g);
}

static void test_troubles(void **state)
{
    static const struct {
        enum uplink_trouble trouble;
        enum finding_id id;
        const char *subject, *mend;
    } rows[] = {
        {UPLINK_TROUBLE_NAME, FINDING_NAME_UNRESOLVED, "cloud", "getent ahosts cloud.example"},
        {UPLINK_TROUBLE_ROUTE, FINDING_ROUTE_MISSING, "cloud", "ip route"},
        {UPLINK_TROUBLE_CLOSED, FINDING_PORT_CLOSED, "cloud", "/etc/gatehouse/gatehouse.json"},
        {UPLINK_TROUBLE_SILENT, FINDING_SERVER_SILENT, "cloud", "ping -c 3 cloud.example"},
        {UPLINK_TROUBLE_SUITES, FINDING_SUITES_DIFFER, "cloud", "/etc/gatehouse/gatehouse.json"},
        {UPLINK_TROUBLE_IDENTITY, FINDING_IDENTITY_UNKNOWN, "boiler-1", "key set boiler-1"},
        {UPLINK_TROUBLE_KEY, FINDING_KEY_REFUSED, "boiler-1", "key set boiler-1 9f3c-1"},
        {UPLINK_TROUBLE_OTHER, FINDING_HANDSHAKE_FAILED, "boiler-1", "connect boiler-1"},
        {UPLINK_TROUBLE_LOCAL, FINDING_HANDSHAKE_FAILED, "boiler-1", "connect boiler-1"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ground g;

        begin(&g);
        g.status.state = DEVICE_BACKING_OFF;
        g.status.session.suite = "";
        g.status.trouble.kind = rows[i].trouble;
        g.status.trouble.words = g.status.last_error = "192.0.2.1:5684: words";
        expect(&g, rows[i].id, rows[i].subject, rows[i].mend);
    }
}

/* Of several hosts the one that the words name is looked at, not the first. */
static void test_the_host_of_the_trouble(void **state)
{
    static const struct {
        enum uplink_trouble trouble;
        enum finding_id id;
        const char *cause, *mend;
    } rows[] = {
        {UPLINK_TROUBLE_NAME, FINDING_NAME_UNRESOLVED, "words", "getent ahosts second.example"},
        {UPLINK_TROUBLE_CLOSED, FINDING_PORT_CLOSED, "is second.example, with its port, right", "gatehouse.json"},
        {UPLINK_TROUBLE_SILENT, FINDING_SERVER_SILENT, "words", "ping -c 3 second.example"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct findings f = {0};
        struct ground g;

        begin(&g);
        g.status.trouble.kind = rows[i].trouble;
        g.status.trouble.host = "second.example";
        g.status.trouble.words = "second.example:5684: words";
        judge_uplink(&g.judged, &f);
        assert_int_equal(f.n, 1);
        assert_int_equal(f.list[0].id, rows[i].id);
        assert_non_null(strstr(f.list[0].cause, rows[i].cause));
        assert_non_null(strstr(f.list[0].mend, rows[i].mend));
        findings_done(&f);
    }
}

static void refused(struct ground *g, enum vault_shape shape, const char *encoding)
{
    begin(g);
    g->status.state = DEVICE_REFUSED;
    g->status.session.suite = "";
    g->status.trouble.kind = UPLINK_TROUBLE_KEY;
    g->status.trouble.words = g->status.last_error = "refused";
    g->judged.shape = shape;
    g->uplink.registrar.encoding = encoding;
}

static void test_encodings(void **state)
{
    struct ground g;

    refused(&g, VAULT_SHAPE_HEX, NULL);
    expect(&g, FINDING_KEY_ENCODING, "boiler-1", "key set boiler-1 9f3c-1 --encoding=hex");
    refused(&g, VAULT_SHAPE_BASE64, "hex");
    expect(&g, FINDING_KEY_ENCODING, "boiler-1", "--encoding=base64");
    refused(&g, VAULT_SHAPE_TEXT, NULL); /* an identity may be any text */
    g.status.keys.main_identity = "my $(id)";
    expect(&g, FINDING_KEY_REFUSED, "boiler-1", "key set boiler-1 'my $(id)'");
    refused(&g, VAULT_SHAPE_TEXT, NULL);
    expect(&g, FINDING_KEY_REFUSED, "boiler-1", "key set boiler-1 9f3c-1");
    /* a cloud whose keys are texts */
    refused(&g, VAULT_SHAPE_HEX, "text");
    expect(&g, FINDING_KEY_REFUSED, "boiler-1", "key set boiler-1 9f3c-1");
    refused(&g, VAULT_SHAPE_BYTES, "text");
    expect(&g, FINDING_KEY_ENCODING, "boiler-1", "--encoding=text");
}

static void test_states(void **state)
{
    static const struct {
        enum device_state state;
        enum finding_id id;
        const char *mend;
    } rows[] = {
        {DEVICE_NO_CREDENTIAL, FINDING_KEY_MISSING, "key set boiler-1 IDENTITY"},
        {DEVICE_DAMAGED, FINDING_KEY_DAMAGED, "key set boiler-1 IDENTITY --force"},
        {DEVICE_CONFLICT, FINDING_CLONE, "boiler-1"},
        {DEVICE_RESTORED, FINDING_KEY_RESTORED, "connect boiler-1"},
        {DEVICE_UNREGISTERED, FINDING_KEY_UNREGISTERED, "connect boiler-1"},
        {DEVICE_DISABLED, FINDING_DEVICE_DISABLED, "connect boiler-1"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ground g;

        begin(&g);
        g.status.state = rows[i].state;
        g.status.session.suite = "";
        expect(&g, rows[i].id, "boiler-1", rows[i].mend);
    }
}

static void test_identities(void **state)
{
    static const char *const telling[] = {"boiler-1@plant", "first-BOILER-1", "sn4711-x", "dc:a6:32:01:02:03",
                                          "x-DC-A6-32-01-02-03"};
    static const char *const not_telling[] = {"9f3c-1", "boiler-2", "dc-a6-32", "a-DCA632010203", ""};
    struct ground g;

    for (size_t i = 0; i < sizeof(telling) / sizeof(telling[0]); i++) {
        begin(&g);
        g.device.hardware_id = (char *)"SN4711";
        g.status.keys.main_identity = telling[i];
        expect(&g, FINDING_IDENTITY_TELLS, "boiler-1", "rotate boiler-1");
    }
    for (size_t i = 0; i < sizeof(not_telling) / sizeof(not_telling[0]); i++) {
        begin(&g);
        g.status.keys.main_identity = not_telling[i];
        expect_none(&g);
    }
    /* an id so short stands in anything */
    begin(&g);
    g.status.id = "a";
    g.device.id = (char *)"a";
    g.status.keys.main_identity = "9a3c";
    expect_none(&g);
}

static void test_the_rest(void **state)
{
    struct ground g;

    begin(&g);
    g.status.session.forward_secrecy = false;
    g.status.session.suite = "PSK-AES-128-GCM";
    expect(&g, FINDING_NO_FORWARD_SECRECY, "cloud", "gatehouse.json");
    begin(&g);
    g.status.last_error = "the key is right, but the server answers 4.03";
    g.status.messages_refused = true;
    expect_words(&g, FINDING_MESSAGES_REFUSED, "answers 4.03. Are \"url\" and \"profile\" of uplink cloud right?",
                 "sudoedit /etc/gatehouse/gatehouse.json && sudo gatehousectl reload");
    g.status.last_error = "may this identity send there?";
    expect_words(&g, FINDING_MESSAGES_REFUSED, "send there? Are", "sudoedit ");
    g.status.messages_refused = false; /* no address mends a rotation that waits */
    expect(&g, FINDING_MESSAGES_REFUSED, "boiler-1", "show boiler-1");
    begin(&g);
    g.status.sensor.state = SENSOR_FAILED;
    g.status.sensor.reason = g.status.last_error = "no answer from unit 9";
    expect_words(&g, FINDING_SENSOR_FAILED, "unit 9. Is the sensor on, and is \"modbus\" right?", EDIT_DEVICE);
    /* A port that is not there has a finding of its own, of which a driver's words tell; another failure of it has not.
     */
    g.device.section = (char *)"{\"url\":\"rtu:/dev/ttyUSB7?baud=9600\",\"unit\":1}";
    expect(&g, FINDING_SENSOR_FAILED, "boiler-1", EDIT_DEVICE);
    g.status.sensor.reason = g.status.last_error = "there is no such device (No such file or directory)";
    expect(&g, FINDING_SERIAL_MISSING, "/dev/ttyUSB7", "ls -l /dev/serial/by-id");
    g.device.section = (char *)"{\"url\":\"tcp://10.0.0.1\",\"unit\":1}";
    expect(&g, FINDING_SENSOR_FAILED, "boiler-1", EDIT_DEVICE);
    g.device.address = (char *)"tcp://10.0.0.1 unit 1";
    g.status.sensor.reason = g.status.last_error = "";
    expect_words(&g, FINDING_SENSOR_FAILED, "say why. Is the sensor at tcp://10.0.0.1 unit 1 on, and are its address",
                 EDIT_DEVICE);
    g.status.sensor.reason = g.status.last_error = "/etc/gatehouse/devices.d/boiler-1.json:4:3: unknown key";
    expect_words(&g, FINDING_SENSOR_FAILED, "json:4:3: unknown key", EDIT_DEVICE);
    begin(&g); /* a finding of the driver's own */
    g.status.state = DEVICE_NO_DRIVER;
    g.status.sensor.state = SENSOR_NO_DRIVER;
    g.status.last_error = g.status.sensor.reason = "away";
    expect_none(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_well),
        cmocka_unit_test(test_troubles),
        cmocka_unit_test(test_the_host_of_the_trouble),
        cmocka_unit_test(test_encodings),
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_identities),
        cmocka_unit_test(test_the_rest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
