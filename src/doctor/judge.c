/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "doctor/judge.h"

#include "base/cleanup.h"
#include "check/local.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#define EDIT "sudoedit %s && sudo gatehousectl reload"
#define SHORTEST_TELLING 4 /* characters of an id that are no chance in an identity */

/* ── The uplink: one finding, however many devices ── */

void judge_uplink(const struct judged *j, struct findings *f)
{
    const struct config_uplink *u = j->uplink;
    const char *words = j->status->trouble.words, *host = j->status->trouble.host;

    if (!host || !host[0])
        host = u->host;

    switch (j->status->trouble.kind) {
    case UPLINK_TROUBLE_NAME:
        finding_mend_words(f, findings_add(f, FINDING_NAME_UNRESOLVED, u->name, "%s", words), "getent ahosts %s", host);
        return;
    case UPLINK_TROUBLE_ROUTE:
        finding_mend_words(f, findings_add(f, FINDING_ROUTE_MISSING, u->name, "%s", words),
                           "ip -brief address && ip route");
        return;
    case UPLINK_TROUBLE_CLOSED:
        finding_mend_words(f,
                           findings_add(f, FINDING_PORT_CLOSED, u->name,
                                        "%s. Is the server up, and is %s, with its port, right in \"url\"?", words,
                                        host),
                           EDIT, j->config_file);
        return;
    case UPLINK_TROUBLE_SILENT:
        finding_mend_words(f, findings_add(f, FINDING_SERVER_SILENT, u->name, "%s", words), "ping -c 3 %s", host);
        return;
    case UPLINK_TROUBLE_SUITES:
        finding_mend_words(f, findings_add(f, FINDING_SUITES_DIFFER, u->name, "%s", words), EDIT, j->config_file);
        return;
    case UPLINK_TROUBLE_NONE:
    case UPLINK_TROUBLE_IDENTITY:
    case UPLINK_TROUBLE_KEY:
    case UPLINK_TROUBLE_OTHER:
    case UPLINK_TROUBLE_LOCAL:
        return;
    }
}

/* ── The key ── */

/* The encoding in which a refused key was probably meant; NULL: nothing speaks for another one. */
static const char *meant_encoding(const struct judged *j)
{
    bool text = j->uplink->registrar.encoding && strcmp(j->uplink->registrar.encoding, "text") == 0;

    switch (j->shape) {
    case VAULT_SHAPE_BYTES:
        return text ? "text" : NULL;
    case VAULT_SHAPE_HEX:
        return text ? NULL : "hex";
    case VAULT_SHAPE_BASE64:
        return text ? NULL : "base64";
    case VAULT_SHAPE_TEXT:
        return NULL;
    }
    return NULL;
}

static void judge_refused(const struct judged *j, struct findings *f)
{
    const struct device_status *s = j->status;
    const char *meant = meant_encoding(j);

    if (meant && strcmp(meant, "text") == 0)
        finding_mend_words(
            f,
            findings_add(f, FINDING_KEY_ENCODING, s->id,
                         "%s. The stored key is no text, and this cloud takes the characters of the text that it "
                         "shows: was it given as hex or base64?",
                         s->trouble.words),
            "gatehousectl key set %s %s --encoding=text", s->id, s->keys.main_identity);
    else if (meant)
        finding_mend_words(
            f,
            findings_add(f, FINDING_KEY_ENCODING, s->id,
                         "%s. The stored key is itself a text in %s: was it given as text, and does the cloud mean "
                         "the bytes that it stands for?",
                         s->trouble.words, meant),
            "gatehousectl key set %s %s --encoding=%s", s->id, s->keys.main_identity, meant);
    else
        finding_mend_words(f, findings_add(f, FINDING_KEY_REFUSED, s->id, "%s", s->trouble.words),
                           "gatehousectl key set %s %s", s->id, s->keys.main_identity);
}

static void judge_handshake(const struct judged *j, struct findings *f)
{
    const struct device_status *s = j->status;

    switch (s->trouble.kind) {
    case UPLINK_TROUBLE_NONE:
        return;
    case UPLINK_TROUBLE_NAME:
    case UPLINK_TROUBLE_ROUTE:
    case UPLINK_TROUBLE_CLOSED:
    case UPLINK_TROUBLE_SILENT:
    case UPLINK_TROUBLE_SUITES:
        judge_uplink(j, f);
        return;
    case UPLINK_TROUBLE_IDENTITY:
        finding_mend_words(f, findings_add(f, FINDING_IDENTITY_UNKNOWN, s->id, "%s", s->trouble.words),
                           "gatehousectl key set %s IDENTITY", s->id);
        return;
    case UPLINK_TROUBLE_KEY:
        judge_refused(j, f);
        return;
    case UPLINK_TROUBLE_OTHER:
    case UPLINK_TROUBLE_LOCAL:
        finding_mend_words(f, findings_add(f, FINDING_HANDSHAKE_FAILED, s->id, "%s", s->trouble.words),
                           "gatehousectl connect %s", s->id);
        return;
    }
}

/* ── What the identity says on the wire ── */

static bool tells(const char *identity, const char *id)
{
    return id && strlen(id) >= SHORTEST_TELLING && strcasestr(identity, id);
}

/* Six pairs of hexadecimal digits, with ':' or '-' between them. */
static bool has_hardware_address(const char *text)
{
    for (; *text; text++) {
        size_t pairs = 0; /* twelve digits in a row are as likely a random number */
        const char *at = text;

        while (isxdigit((unsigned char)at[0]) && isxdigit((unsigned char)at[1])) {
            pairs++;
            at += 2;
            if (pairs == 6)
                return true;
            if (*at != ':' && *at != '-')
                break;
            at++;
        }
    }
    return false;
}

static void judge_identity(const struct judged *j, struct findings *f)
{
    const char *identity = j->status->keys.main_identity, *what;

    if (tells(identity, j->device->id))
        what = "the device's id";
    else if (tells(identity, j->device->hardware_id))
        what = "its hardware id";
    else if (has_hardware_address(identity))
        what = "a hardware address";
    else
        return;
    finding_mend_words(f,
                       findings_add(f, FINDING_IDENTITY_TELLS, j->device->id,
                                    "its identity %s, which everybody on the way reads, has %s in it", identity, what),
                       "gatehousectl rotate %s", j->device->id);
}

/* ── The device ── */

static void judge_secrecy(const struct judged *j, struct findings *f)
{
    const struct device_status *s = j->status;

    if (s->session.suite[0] && !s->session.forward_secrecy)
        finding_mend_words(
            f,
            findings_add(f, FINDING_NO_FORWARD_SECRECY, j->uplink->name,
                         "%s is used (%s): whoever gets the key later reads what was recorded. Have the server take "
                         "a suite with ECDHE-PSK, and \"suites\" of the uplink begin with ecdhe-psk",
                         s->session.suite, s->id),
            EDIT, j->config_file);
}

static const char *why(const struct judged *j, const char *otherwise)
{
    return j->status->last_error[0] ? j->status->last_error : otherwise;
}

static void add(struct findings *f, enum finding_id id, const struct judged *j, const char *words, const char *command)
{
    finding_mend_words(f, findings_add(f, id, j->device->id, "%s", words), command, j->device->id);
}

/* Between words of others and a sentence of one's own. */
static const char *stop(const char *words)
{
    size_t n = strlen(words);

    return n > 0 && strchr(".?!", words[n - 1]) ? "" : ".";
}

static void judge_session(const struct judged *j, struct findings *f)
{
    const struct device_status *s = j->status;

    judge_handshake(j, f);
    judge_secrecy(j, f);
    if (s->state != DEVICE_ONLINE || !s->last_error[0] || strcmp(s->last_error, s->sensor.reason) == 0)
        return;
    if (s->messages_refused)
        finding_mend_words(f,
                           findings_add(f, FINDING_MESSAGES_REFUSED, s->id,
                                        "%s%s Are \"url\" and \"profile\" of uplink %s right?", s->last_error,
                                        stop(s->last_error), j->uplink->name),
                           EDIT, j->config_file);
    else
        add(f, FINDING_MESSAGES_REFUSED, j, s->last_error, "gatehousectl show %s");
}

/* The sandbox hides ports from the agent, but not what a driver says that could not open one. */
static bool port_is_missing(const struct judged *j, char *ret, size_t size)
{
    return j->status->sensor.state == SENSOR_FAILED && strstr(j->status->sensor.reason, strerror(ENOENT)) &&
           j->device->section && check_serial_port(j->device->section, ret, size);
}

/* Names what to look at and what to change, since no driver knows which of both it is. */
static void sensor_failed(const struct judged *j, struct findings *f)
{
    const struct config_device *d = j->device;
    const char *reason = j->status->sensor.reason[0] ? j->status->sensor.reason : "its driver does not say why";
    struct finding *failed;

    if (strncmp(reason, d->file, strlen(d->file)) == 0)
        failed = findings_add(f, FINDING_SENSOR_FAILED, d->id, "%s", reason);
    else if (d->address[0])
        failed = findings_add(f, FINDING_SENSOR_FAILED, d->id,
                              "%s%s Is the sensor at %s on, and are its address and unit right in \"%s\"?", reason,
                              stop(reason), d->address, d->driver);
    else
        failed = findings_add(f, FINDING_SENSOR_FAILED, d->id, "%s%s Is the sensor on, and is \"%s\" right?", reason,
                              stop(reason), d->driver);
    finding_mend_words(f, failed, EDIT, d->file);
}

static void judge_sensor(const struct judged *j, struct findings *f)
{
    const struct device_status *s = j->status;
    char port[PATH_MAX];

    /* A driver that is away is one finding of its own. */
    if (port_is_missing(j, port, sizeof(port)))
        finding_mend_words(f, findings_add(f, FINDING_SERIAL_MISSING, port, "%s: %s", j->device->id, s->sensor.reason),
                           "ls -l /dev/serial/by-id");
    else if (s->sensor.state != SENSOR_NO_DRIVER && sensor_state_bad(s->sensor.state))
        sensor_failed(j, f);
}

bool judge_wants_shape(const struct device_status *status)
{
    return status->trouble.kind == UPLINK_TROUBLE_KEY;
}

void judge_device(const struct judged *j, struct findings *f)
{
    switch (j->status->state) {
    case DEVICE_DISABLED:
        add(f, FINDING_DEVICE_DISABLED, j,
            j->device->enabled ? "it was disconnected by hand" : "\"enabled\" is false in its file",
            "gatehousectl connect %s");
        return;
    case DEVICE_DAMAGED:
        add(f, FINDING_KEY_DAMAGED, j, why(j, "its record in the vault does not open"),
            "gatehousectl key set %s IDENTITY --force");
        return;
    case DEVICE_NO_CREDENTIAL:
        add(f, FINDING_KEY_MISSING, j, "it has no key for its uplink", "gatehousectl key set %s IDENTITY");
        break;
    case DEVICE_CONFLICT:
        add(f, FINDING_CLONE, j, why(j, "somebody else's key stands under its identity"),
            "gatehousectl key set %s IDENTITY");
        break;
    case DEVICE_RESTORED:
        add(f, FINDING_KEY_RESTORED, j, why(j, "its keys came from a backup"), "gatehousectl connect %s");
        judge_session(j, f);
        break;
    case DEVICE_UNREGISTERED:
        add(f, FINDING_KEY_UNREGISTERED, j, why(j, "the cloud has not been told of its key yet"),
            "gatehousectl connect %s");
        break;
    case DEVICE_NO_DRIVER:
    case DEVICE_CONNECTING:
    case DEVICE_ONLINE:
    case DEVICE_BACKING_OFF:
    case DEVICE_UNREACHABLE:
    case DEVICE_REFUSED:
    case DEVICE_IDLE:
        judge_session(j, f);
        break;
    }
    judge_identity(j, f);
    judge_sensor(j, f);
}
