/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "devices.h"

#include "base/strbuf.h"
#include "samples.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Whether somebody who records the traffic today reads it once there are quantum computers. */
static void print_suite(struct ctl *c, json_object *d)
{
    bool secrecy = json_object_get_boolean(json_object_object_get(d, "ForwardSecrecy"));
    const char *safe = !secrecy                                        ? "no"
                       : strstr(row_text(d, "Group"), "MLKEM") != NULL ? "yes (ML-KEM)"
                                                                       : "yes (PSK with ECDHE: the key is needed too)";

    print_field(&c->out, stdout, "suite", STYLE_PLAIN, "%s%s%s, forward secrecy: %s", row_text(d, "Suite"),
                row_text(d, "Group")[0] ? " with " : "", row_text(d, "Group"), secrecy ? "yes" : "no");
    print_field(&c->out, stdout, "post-quantum", secrecy ? STYLE_PLAIN : STYLE_WARN, "recorded traffic safe: %s", safe);
}

static void print_credential(struct ctl *c, const char *label, const char *identity, const char *fingerprint)
{
    if (identity[0])
        print_field(&c->out, stdout, label, STYLE_PLAIN, "identity %s, fingerprint %s", identity, fingerprint);
    else
        print_field(&c->out, stdout, label, STYLE_PLAIN, "none");
}

/* Texts of "NAME NUMBER", with commas between them. */
static void print_statistics(struct ctl *c, json_object *counts)
{
    _cleanup_(strbuf_done) struct strbuf text = {0};

    json_object_object_foreach (counts, name, value)
        strbuf_printf(&text, "%s%s %s", text.length > 0 ? ", " : "", name, json_object_get_string(value));
    if (text.length > 0)
        print_field(&c->out, stdout, "statistics", STYLE_PLAIN, "%s", text.text);
}

static void print_optional(struct ctl *c, const char *label, enum style style, const char *text)
{
    if (text[0])
        print_field(&c->out, stdout, label, style, "%s", text);
}

static void print_state(struct ctl *c, const char *label, const char *state, const char *reason)
{
    enum style style = style_of_state(state);

    print_field(&c->out, stdout, label, style, "%s%s%s%s", style_mark(&c->out, style), state, reason[0] ? ": " : "",
                reason);
}

static void print_session(struct ctl *c, json_object *d)
{
    print_state(c, "state", row_text(d, "State"), "");
    print_state(c, "sensor", row_text(d, "SensorState"), row_text(d, "SensorReason"));
    if (strcmp(row_text(d, "LastError"), row_text(d, "SensorReason")) != 0)
        print_optional(c, "last error", STYLE_BAD, row_text(d, "LastError"));
    if (row_number(d, "NextTry") > 0)
        print_time(c, "next try", row_number(d, "NextTry"));
    print_optional(c, "driver", STYLE_PLAIN, row_text(d, "Driver"));
    print_optional(c, "address", STYLE_PLAIN, row_text(d, "Address"));
    print_optional(c, "uplink", STYLE_PLAIN, row_text(d, "Uplink"));
    print_optional(c, "server", STYLE_PLAIN, row_text(d, "Server"));
    print_optional(c, "file", STYLE_PLAIN, row_text(d, "File"));
}

static void print_keys(struct ctl *c, json_object *d)
{
    char waits[1024];

    print_credential(c, "main key", row_text(d, "MainIdentity"), row_text(d, "MainFingerprint"));
    print_credential(c, "backup key", row_text(d, "BackupIdentity"), row_text(d, "BackupFingerprint"));
    if (row_text(d, "BindFingerprint")[0])
        print_field(&c->out, stdout, "bind key", STYLE_PLAIN, "fingerprint %s", row_text(d, "BindFingerprint"));
    if (row_text(d, "LoginFingerprint")[0])
        print_field(&c->out, stdout, "login", STYLE_PLAIN, "fingerprint %s", row_text(d, "LoginFingerprint"));
    if (row_text(d, "MainIdentity")[0])
        print_time(c, "main since", row_number(d, "MainSince"));
    print_field(&c->out, stdout, "rotation", style_of_state(row_text(d, "RotationState")), "%s",
                row_text(d, "RotationState"));
    if (print_waits(d, waits, sizeof(waits)) > 0)
        print_field(&c->out, stdout, "waits for", STYLE_PLAIN, "%s", waits);
    print_time(c, "next rotation", row_number(d, "NextRotation"));
    print_time(c, "authenticated", row_number(d, "LastAuthenticated"));
}

static int print_device(struct ctl *c, json_object *d, const char *spool_problem)
{
    printf("%s%s%s\n", style_begin(&c->out, STYLE_HEADING), row_text(d, "Id"), style_end(&c->out, STYLE_HEADING));
    print_session(c, d);
    print_keys(c, d);
    if (row_text(d, "Suite")[0])
        print_suite(c, d);
    print_optional(c, "sent in", STYLE_PLAIN, row_text(d, "Limits"));
    if (row_number(d, "Spooled") > 0)
        print_optional(c, "sending", STYLE_PLAIN, row_text(d, "Sending"));
    print_field(&c->out, stdout, "samples", STYLE_PLAIN,
                "%" PRIu64 " delivered, %" PRIu64 " waiting, %" PRIu64 " dropped, %" PRIu64 " rejected",
                row_number(d, "Delivered"), row_number(d, "Spooled"), row_number(d, "Dropped"),
                row_number(d, "Rejected"));
    print_optional(c, "spool", STYLE_BAD, spool_problem);
    if (json_object_object_get(d, "Statistics"))
        print_statistics(c, json_object_object_get(d, "Statistics"));
    if (json_object_array_length(json_object_object_get(d, "Points")) == 0)
        return 0;
    putchar('\n');
    return samples_print(c, json_object_object_get(d, "Points"));
}

/* Counts of the driver, where they can be had: by whoever may ask, of a driver that counts. */
static void add_statistics(struct ctl *c, const char *path, json_object *device)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    json_object *counts;

    if (sd_bus_call_method(c->bus, BUS_NAME, path, BUS_INTERFACE_DEVICE, "GetStatistics", NULL, &reply, "") >= 0 &&
        ctl_to_json(reply, &counts) >= 0)
        json_object_object_add(device, "Statistics", counts);
}

int verb_show(struct ctl *c, int argc, char **argv)
{
    _cleanup_json_ json_object *device = NULL, *manager = json_object_new_object();
    _cleanup_free_ char *path = NULL;
    json_object *points;
    int r = ctl_device(c, argv[0], &path);

    if (r == 0)
        r = ctl_properties(c, path, BUS_INTERFACE_DEVICE, &device);
    if (r != 0)
        return r;
    add_statistics(c, path, device);
    json_object_object_add(device, "Points", points = json_object_new_array());
    (void)samples_add(c, path, NULL, true, points);
    if (print_text_wanted(c))
        r = ctl_property(c, BUS_PATH_MANAGER, BUS_INTERFACE_MANAGER, "SpoolProblem", manager);
    if (r == 0 && print_text_wanted(c))
        r = print_device(c, device, row_text(manager, "SpoolProblem"));
    c->result = TAKE_PTR(device);
    return r;
}
