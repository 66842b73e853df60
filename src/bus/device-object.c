/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/log.h"
#include "base/map.h"
#include "base/messages.h"
#include "base/names.h"
#include "bus/methods.h"
#include "bus/told.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ── Finding ── */

int device_object_path(const char *id, char **ret_path)
{
    return sd_bus_path_encode(BUS_PATH_DEVICE, id, ret_path);
}

static int find(sd_bus *connection, const char *path, const char *interface, void *userdata, void **ret_found,
                sd_bus_error *error)
{
    struct bus *b = userdata;
    _cleanup_free_ char *id = NULL;
    int r = sd_bus_path_decode(path, BUS_PATH_DEVICE, &id);
    struct device *d = r > 0 ? fleet_find(b->fleet, id) : NULL;

    if (!d)
        return r < 0 ? r : 0;
    *ret_found = d;
    return 1;
}

static int enumerate(sd_bus *connection, const char *prefix, void *userdata, char ***ret_nodes, sd_bus_error *error)
{
    struct bus *b = userdata;
    struct fleet_totals totals;
    struct device *d = NULL;
    char **nodes;
    size_t n = 0;

    fleet_totals(b->fleet, &totals);
    nodes = calloc((size_t)totals.devices + 1, sizeof(*nodes));
    if (!nodes)
        return -ENOMEM;
    while (n < totals.devices && (d = fleet_next(b->fleet, d ? device_id(d) : NULL))) {
        if (device_object_path(device_id(d), &nodes[n]) < 0) {
            while (n-- > 0)
                free(nodes[n]);
            free(nodes);
            return -ENOMEM;
        }
        n++;
    }
    *ret_nodes = nodes;
    return 0;
}

/* ── Methods ── */

struct bus *device_object_bus(sd_bus_message *m)
{
    return sd_bus_slot_get_userdata(sd_bus_get_current_slot(sd_bus_message_get_bus(m)));
}

static int read_slot(sd_bus_message *m, enum vault_slot *ret, sd_bus_error *error)
{
    const char *text;
    int r = sd_bus_message_read(m, "s", &text), slot;

    if (r < 0)
        return r;
    slot = vault_slot_from_string(text);
    if (slot < 0)
        return sd_bus_error_setf(error, ERROR_INVALID_ARGUMENT, "there is no slot '%s': main or backup", text);
    *ret = (enum vault_slot)slot;
    return 0;
}

static int method_rotate(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct bus *b = device_object_bus(m); /* device_rotate() may have sd-bus call others, and forget this slot */
    struct error e = {0};
    struct job *job;
    bool compromised = false;
    char path[64];
    int r = policy_check(b, m, ACTION_ROTATE, error);

    if (r <= 0)
        return r < 0 ? r : 1;
    r = bus_read_options(m, bus_take_compromised, &compromised, error);
    if (r < 0)
        return r;
    r = device_rotate(userdata, compromised, &job, &e);
    if (r < 0)
        return bus_error_set(error, r, &e);
    log_audit(LOG_NOTICE, MESSAGE_ROTATION_ASKED, device_id(userdata), b->caller, "a new key is asked for%s",
              compromised ? ": the present one is compromised" : "");
    job_object_path(job, path);
    return sd_bus_reply_method_return(m, "o", path);
}

struct set_options {
    enum vault_encoding encoding;
    enum vault_kind kind;
    bool force;
    const char *bad;
};

static int take_kind(struct set_options *options, const char *text)
{
    int kind = vault_kind_from_string(text);

    if (kind == VAULT_PSK || kind == VAULT_BIND || kind == VAULT_LOGIN)
        options->kind = (enum vault_kind)kind;
    else
        options->bad = "kind must be psk, bind for a sensor's own key, or login for a user name and a password";
    return 0;
}

static int take_set_option(sd_bus_message *m, const char *key, const char *signature, void *userdata)
{
    struct set_options *options = userdata;
    const char *text;
    int r;

    if (strcmp(key, "force") == 0)
        return bus_take_flag(m, key, "force", &options->force);
    if (strcmp(key, "encoding") != 0 && strcmp(key, "kind") != 0)
        return -ENOENT;
    r = sd_bus_message_read(m, "v", "s", &text);
    if (r < 0)
        return r;
    if (key[0] == 'k')
        return take_kind(options, text);
    r = vault_encoding_from_string(text);
    if (r < 0)
        options->bad = "encoding must be raw, hex, base64 or text";
    else
        options->encoding = (enum vault_encoding)r;
    return 0;
}

/* NULL, or why these options do not go together. */
static const char *set_options_bad(const struct set_options *options)
{
    if (!options->bad && options->force && options->kind != VAULT_PSK)
        return "force is for the keys that a cloud knows: a bind key and a login have nothing that it would override";
    return options->bad;
}

/* It has no second slot, and nothing on the wire names it. */
static int set_sensor_key(sd_bus_message *m, struct device *d, enum vault_slot slot, const char *identity, int fd,
                          enum vault_encoding encoding, sd_bus_error *error)
{
    struct audited *audited;
    struct error e = {0};
    int r;

    if (slot != VAULT_MAIN || identity[0])
        return sd_bus_error_set(error, ERROR_INVALID_ARGUMENT, "a bind key stands in main and has no identity (\"\")");
    audited = audited_new(device_object_bus(m), m, MESSAGE_KEY_SET, device_id(d), "its sensor's bind key is set");
    r = audited ? device_set_sensor_key(d, fd, encoding, audited_done, audited, &e) : -ENOMEM;
    return r < 0 ? audited_not_begun(audited, r, &e, error) : 1;
}

/* Both lines come in the descriptor: a user name may be a secret, too. */
static int set_login(sd_bus_message *m, struct device *d, enum vault_slot slot, const char *identity, int fd,
                     enum vault_encoding encoding, sd_bus_error *error)
{
    struct audited *audited;
    struct error e = {0};
    int r;

    if (slot != VAULT_MAIN || identity[0])
        return sd_bus_error_set(error, ERROR_INVALID_ARGUMENT, "a login stands in main and has no identity (\"\")");
    if (encoding != VAULT_RAW && encoding != VAULT_TEXT)
        return sd_bus_error_set(error, ERROR_INVALID_ARGUMENT, "a login is text: no encoding is for it");
    audited = audited_new(device_object_bus(m), m, MESSAGE_KEY_SET, device_id(d), "its login is set");
    r = audited ? device_set_login(d, fd, audited_done, audited, &e) : -ENOMEM;
    return r < 0 ? audited_not_begun(audited, r, &e, error) : 1;
}

static int method_set_credential(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct set_options options = {.encoding = VAULT_RAW};
    struct audited *audited;
    struct error e = {0};
    enum vault_slot slot = VAULT_MAIN;
    const char *identity;
    int r = policy_check(device_object_bus(m), m, ACTION_MANAGE_KEYS, error), fd;

    if (r <= 0)
        return r < 0 ? r : 1;
    r = read_slot(m, &slot, error);
    if (r >= 0)
        r = sd_bus_message_read(m, "sh", &identity, &fd);
    if (r >= 0)
        r = bus_read_options(m, take_set_option, &options, error);
    if (r < 0)
        return r;
    options.bad = set_options_bad(&options);
    if (options.bad)
        return sd_bus_error_set(error, ERROR_INVALID_ARGUMENT, options.bad);
    if (options.kind == VAULT_BIND)
        return set_sensor_key(m, userdata, slot, identity, fd, options.encoding, error);
    if (options.kind == VAULT_LOGIN)
        return set_login(m, userdata, slot, identity, fd, options.encoding, error);
    audited =
        audited_new(device_object_bus(m), m, MESSAGE_KEY_SET, device_id(userdata), "its %s key is set, identity %s%s",
                    vault_slot_to_string(slot), identity, options.force ? ", forced" : "");
    r = audited ? device_set_credential(userdata, slot, identity, fd, options.encoding, options.force, audited_done,
                                        audited, &e)
                : -ENOMEM;
    return r < 0 ? audited_not_begun(audited, r, &e, error) : 1;
}

static int method_export_credential(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct audited *audited;
    struct error e = {0};
    enum vault_slot slot = VAULT_MAIN;
    int r = policy_check(device_object_bus(m), m, ACTION_EXPORT_KEYS, error);

    if (r <= 0)
        return r < 0 ? r : 1;
    r = read_slot(m, &slot, error);
    if (r < 0)
        return r;
    audited = audited_new(device_object_bus(m), m, MESSAGE_KEY_EXPORTED, device_id(userdata), "its %s key is exported",
                          vault_slot_to_string(slot));
    r = audited ? device_export_credential(userdata, slot, audited_exported, audited, &e) : -ENOMEM;
    return r < 0 ? audited_not_begun(audited, r, &e, error) : 1;
}

static int method_promote(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct audited *audited;
    struct error e = {0};
    int r = policy_check(device_object_bus(m), m, ACTION_ROTATE, error);

    if (r <= 0)
        return r < 0 ? r : 1;
    audited = audited_new(device_object_bus(m), m, MESSAGE_KEY_PROMOTED, device_id(userdata),
                          "its backup key is to take over");
    r = audited ? device_promote(userdata, audited_done, audited, &e) : -ENOMEM;
    return r < 0 ? audited_not_begun(audited, r, &e, error) : 1;
}

static int take_nothing(sd_bus_message *m, const char *key, const char *signature, void *userdata)
{
    return -ENOENT;
}

/* The options of SetCredential without the encoding. */
static int take_forget_option(sd_bus_message *m, const char *key, const char *signature, void *userdata)
{
    return strcmp(key, "encoding") == 0 ? -ENOENT : take_set_option(m, key, signature, userdata);
}

static int method_forget_credential(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct audited *audited;
    struct error e = {0};
    struct set_options options = {.kind = VAULT_PSK};
    enum vault_slot slot = VAULT_MAIN;
    int r = policy_check(device_object_bus(m), m, ACTION_MANAGE_KEYS, error);

    if (r <= 0)
        return r < 0 ? r : 1;
    r = read_slot(m, &slot, error);
    if (r >= 0)
        r = bus_read_options(m, take_forget_option, &options, error);
    if (r < 0)
        return r;
    options.bad = set_options_bad(&options);
    if (options.bad || (options.kind != VAULT_PSK && slot != VAULT_MAIN))
        return sd_bus_error_set(error, ERROR_INVALID_ARGUMENT,
                                options.bad ?: "a bind key stands in main, as does a login");
    audited =
        audited_new(device_object_bus(m), m, MESSAGE_KEY_FORGOTTEN, device_id(userdata), "its %s is to be forgotten%s",
                    options.kind == VAULT_BIND    ? "sensor's bind key"
                    : options.kind == VAULT_LOGIN ? "login"
                    : slot == VAULT_MAIN          ? "main key"
                                                  : "backup key",
                    options.force ? ", forced" : "");
    if (!audited)
        r = -ENOMEM;
    else if (options.kind == VAULT_BIND)
        r = device_forget_sensor_key(userdata, audited_done, audited, &e);
    else if (options.kind == VAULT_LOGIN)
        r = device_forget_login(userdata, audited_done, audited, &e);
    else
        r = device_forget_credential(userdata, slot, options.force, audited_done, audited, &e);
    return r < 0 ? audited_not_begun(audited, r, &e, error) : 1;
}

static int method_reset_counter(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct audited *audited;
    struct error e = {0};
    int r = policy_check(device_object_bus(m), m, ACTION_MANAGE_KEYS, error);

    if (r <= 0)
        return r < 0 ? r : 1;
    r = bus_read_options(m, take_nothing, NULL, error);
    if (r < 0)
        return r;
    audited =
        audited_new(device_object_bus(m), m, MESSAGE_KEY_SET, device_id(userdata), "its sensor's counter begins anew");
    r = audited ? device_reset_counter(userdata, audited_done, audited, &e) : -ENOMEM;
    return r < 0 ? audited_not_begun(audited, r, &e, error) : 1;
}

static int method_connect(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    int r = policy_check(device_object_bus(m), m, ACTION_MANAGE_DEVICES, error);

    if (r <= 0)
        return r < 0 ? r : 1;
    device_connect(userdata);
    return sd_bus_reply_method_return(m, NULL);
}

static int method_disconnect(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    int r = policy_check(device_object_bus(m), m, ACTION_MANAGE_DEVICES, error);

    if (r <= 0)
        return r < 0 ? r : 1;
    device_disconnect(userdata);
    return sd_bus_reply_method_return(m, NULL);
}

/* ── Properties ── */

/* Where each stands in struct device_status. */
static const struct {
    const char *name;
    char type; /* of D-Bus; 'e', 'n': enum device_state, sensor_state, shown as texts */
    size_t offset;
    bool told; /* by PropertiesChanged: those marked CHANGES in the vtable */
} properties[] = {
#define PROPERTY(name, type, member)                                                                                   \
    {                                                                                                                  \
        name, type, offsetof(struct device_status, member), (type) != 't'                                              \
    }
#define UNTOLD(name, type, member)                                                                                     \
    {                                                                                                                  \
        name, type, offsetof(struct device_status, member), false                                                      \
    }
    UNTOLD("Id", 's', id),
    PROPERTY("Driver", 's', driver),
    PROPERTY("Uplink", 's', uplink),
    PROPERTY("File", 's', file),
    PROPERTY("Address", 's', address),
    PROPERTY("State", 'e', state),
    PROPERTY("SensorState", 'n', sensor.state),
    PROPERTY("SensorReason", 's', sensor.reason),
    PROPERTY("MainIdentity", 's', keys.main_identity),
    PROPERTY("MainFingerprint", 's', keys.main_fingerprint),
    PROPERTY("MainSince", 't', keys.main_since),
    PROPERTY("BackupIdentity", 's', keys.backup_identity),
    PROPERTY("BackupFingerprint", 's', keys.backup_fingerprint),
    PROPERTY("BindFingerprint", 's', keys.bind_fingerprint),
    PROPERTY("LoginFingerprint", 's', keys.login_fingerprint),
    PROPERTY("RotationState", 's', rotation.state),
    UNTOLD("RotationReason", 's', rotation.reason),
    PROPERTY("RotationUntil", 't', rotation.until),
    PROPERTY("NextRotation", 't', rotation.next),
    PROPERTY("NextTry", 't', next_try),
    PROPERTY("LastAuthenticated", 't', last_authenticated),
    PROPERTY("Server", 's', session.server),
    PROPERTY("Suite", 's', session.suite),
    PROPERTY("Group", 's', session.group),
    PROPERTY("ForwardSecrecy", 'b', session.forward_secrecy),
    PROPERTY("LastError", 's', last_error),
    UNTOLD("Limits", 's', limits),
    UNTOLD("Sending", 's', sending),
    PROPERTY("Delivered", 't', samples.delivered),
    PROPERTY("Spooled", 't', samples.spooled),
    PROPERTY("Dropped", 't', samples.dropped),
    PROPERTY("Rejected", 't', samples.rejected),
};

/* Of a property that is shown as a text. */
static const char *text_of(const struct device_status *s, size_t i)
{
    const uint8_t *at = (const uint8_t *)s + properties[i].offset;

    switch (properties[i].type) {
    case 'e':
        return device_state_name(s->state);
    case 'n':
        return sensor_state_name(s->sensor.state);
    default:
        return *(const char *const *)(const void *)at ?: "";
    }
}

/* The value of one; `entry`: as an entry of an a{sv}. */
static int append_property(sd_bus_message *m, const struct device_status *s, size_t i, bool entry)
{
    const char *name = properties[i].name;
    const uint8_t *at = (const uint8_t *)s + properties[i].offset;
    uint64_t number;
    int flag;

    switch (properties[i].type) {
    case 't':
        number = *(const uint64_t *)(const void *)at;
        return entry ? sd_bus_message_append(m, "{sv}", name, "t", number) : sd_bus_message_append(m, "t", number);
    case 'b':
        flag = *(const bool *)at;
        return entry ? sd_bus_message_append(m, "{sv}", name, "b", flag) : sd_bus_message_append(m, "b", flag);
    default:
        return entry ? sd_bus_message_append(m, "{sv}", name, "s", text_of(s, i))
                     : sd_bus_message_append(m, "s", text_of(s, i));
    }
}

/* Of one that is told. */
static uint64_t hash_of(const struct device_status *s, size_t i)
{
    return properties[i].type == 'b' ? *(const bool *)((const uint8_t *)s + properties[i].offset)
                                     : map_hash_text(text_of(s, i));
}

/* Its place among those that are told. */
static size_t told_place(size_t property)
{
    size_t n = 0;

    for (size_t i = 0; i < property; i++)
        n += properties[i].told;
    return n;
}

void device_object_shown(struct bus *b, const char *id, const char *property, const char *text)
{
    uint64_t hash = map_hash_text(text ?: "");

    for (size_t i = 0; i < ELEMENTSOF(properties); i++)
        if (strcmp(properties[i].name, property) == 0)
            told_shown(b->told, id, told_place(i), &hash, 1);
}

static int get_property(sd_bus *connection, const char *path, const char *interface, const char *property,
                        sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
    struct bus *b = sd_bus_slot_get_userdata(sd_bus_get_current_slot(connection));
    struct device_status s;
    uint64_t hash;
    size_t i = 0;

    while (i < ELEMENTSOF(properties) && strcmp(properties[i].name, property) != 0)
        i++;
    if (i == ELEMENTSOF(properties))
        return -ENOENT;
    device_status(userdata, &s);
    if (properties[i].told) {
        hash = hash_of(&s, i);
        told_shown(b->told, s.id, told_place(i), &hash, 1);
    }
    return append_property(reply, &s, i, false);
}

int device_object_properties(struct bus *b, sd_bus_message *m, void *object)
{
    uint64_t hashes[TOLD_PROPERTIES_MAX];
    struct device_status s;
    int r = 0;

    device_status(object, &s);
    told_shown(b->told, s.id, 0, hashes, device_object_hashes(&s, hashes));
    for (size_t i = 0; r >= 0 && i < ELEMENTSOF(properties); i++)
        r = append_property(m, &s, i, true);
    return r;
}

size_t device_object_hashes(const struct device_status *s, uint64_t *ret)
{
    size_t n = 0;

    static_assert(ELEMENTSOF(properties) <= TOLD_PROPERTIES_MAX, "all have a bit");
    for (size_t i = 0; i < ELEMENTSOF(properties); i++)
        if (properties[i].told)
            ret[n++] = hash_of(s, i);
    return n;
}

int device_object_changes(sd_bus_message *m, const struct device_status *s, uint64_t wanted)
{
    size_t n = 0;
    int r = 0;

    for (size_t i = 0; r >= 0 && i < ELEMENTSOF(properties); i++)
        if (properties[i].told && (wanted >> n++ & 1))
            r = append_property(m, s, i, true);
    return r;
}

#define CHANGES SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE
#define ANYONE SD_BUS_VTABLE_UNPRIVILEGED /* who may is decided by policy_check, not by sd-bus's own rule */

static const sd_bus_vtable vtable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD_WITH_ARGS("Rotate", SD_BUS_ARGS("a{sv}", options), SD_BUS_RESULT("o", job), method_rotate, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("SetCredential", SD_BUS_ARGS("s", slot, "s", identity, "h", key, "a{sv}", options),
                            SD_BUS_NO_RESULT, method_set_credential, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("ExportCredential", SD_BUS_ARGS("s", slot), SD_BUS_RESULT("h", key),
                            method_export_credential, ANYONE),
    SD_BUS_METHOD("Promote", NULL, NULL, method_promote, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("ForgetCredential", SD_BUS_ARGS("s", slot, "a{sv}", options), SD_BUS_NO_RESULT,
                            method_forget_credential, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("ResetCounter", SD_BUS_ARGS("a{sv}", options), SD_BUS_NO_RESULT, method_reset_counter,
                            ANYONE),
    SD_BUS_METHOD("Connect", NULL, NULL, method_connect, ANYONE),
    SD_BUS_METHOD("Disconnect", NULL, NULL, method_disconnect, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("Write", SD_BUS_ARGS("s", point, "v", value), SD_BUS_RESULT("v", set), points_method_write,
                            ANYONE),
    SD_BUS_METHOD_WITH_ARGS("WritePoints", SD_BUS_ARGS("a{sv}", values), SD_BUS_RESULT("a{sv}", set),
                            points_method_write_points, ANYONE),
    SD_BUS_METHOD_WITH_ARGS("Read", SD_BUS_ARGS("s", point), SD_BUS_RESULT("v", value, "t", time), points_method_read,
                            ANYONE),
    SD_BUS_METHOD_WITH_ARGS("GetSamples", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(stvsu)", samples), points_method_get_samples,
                            ANYONE),
    SD_BUS_METHOD_WITH_ARGS("GetStatistics", SD_BUS_NO_ARGS, SD_BUS_RESULT("a{st}", counts),
                            points_method_get_statistics, ANYONE),
    SD_BUS_PROPERTY("Id", "s", get_property, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("Driver", "s", get_property, 0, CHANGES),
    SD_BUS_PROPERTY("Uplink", "s", get_property, 0, CHANGES),
    SD_BUS_PROPERTY("File", "s", get_property, 0, CHANGES),
    SD_BUS_PROPERTY("Address", "s", get_property, 0, CHANGES),
    SD_BUS_PROPERTY("State", "s", get_property, 0, CHANGES),
    SD_BUS_PROPERTY("SensorState", "s", get_property, 0, CHANGES),
    SD_BUS_PROPERTY("SensorReason", "s", get_property, 0, CHANGES),
    SD_BUS_PROPERTY("MainIdentity", "s", get_property, 0, CHANGES),
    SD_BUS_PROPERTY("MainFingerprint", "s", get_property, 0, CHANGES),
    SD_BUS_PROPERTY("MainSince", "t", get_property, 0, 0),
    SD_BUS_PROPERTY("BackupIdentity", "s", get_property, 0, CHANGES),
    SD_BUS_PROPERTY("BackupFingerprint", "s", get_property, 0, CHANGES),
    SD_BUS_PROPERTY("BindFingerprint", "s", get_property, 0, CHANGES),
    SD_BUS_PROPERTY("LoginFingerprint", "s", get_property, 0, CHANGES),
    SD_BUS_PROPERTY("RotationState", "s", get_property, 0, CHANGES),
    SD_BUS_PROPERTY("RotationReason", "s", get_property, 0, 0),
    SD_BUS_PROPERTY("RotationUntil", "t", get_property, 0, 0),
    SD_BUS_PROPERTY("NextRotation", "t", get_property, 0, 0),
    SD_BUS_PROPERTY("NextTry", "t", get_property, 0, 0),
    SD_BUS_PROPERTY("LastAuthenticated", "t", get_property, 0, 0),
    SD_BUS_PROPERTY("Server", "s", get_property, 0, CHANGES),
    SD_BUS_PROPERTY("Suite", "s", get_property, 0, CHANGES),
    SD_BUS_PROPERTY("Group", "s", get_property, 0, CHANGES),
    SD_BUS_PROPERTY("ForwardSecrecy", "b", get_property, 0, CHANGES),
    SD_BUS_PROPERTY("LastError", "s", get_property, 0, CHANGES),
    SD_BUS_PROPERTY("Limits", "s", get_property, 0, 0),
    SD_BUS_PROPERTY("Sending", "s", get_property, 0, 0),
    SD_BUS_PROPERTY("Delivered", "t", get_property, 0, 0),
    SD_BUS_PROPERTY("Spooled", "t", get_property, 0, 0),
    SD_BUS_PROPERTY("Dropped", "t", get_property, 0, 0),
    SD_BUS_PROPERTY("Rejected", "t", get_property, 0, 0),
    SD_BUS_VTABLE_END,
};

int device_object_register(struct bus *b)
{
    int r = sd_bus_add_fallback_vtable(b->connection, NULL, BUS_PATH_DEVICE, BUS_INTERFACE_DEVICE, vtable, find, b);

    return r < 0 ? r : sd_bus_add_node_enumerator(b->connection, NULL, BUS_PATH_DEVICE, enumerate, b);
}
