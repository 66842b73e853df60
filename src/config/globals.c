/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* gatehouse.json. */
#include "base/id.h"
#include "base/limits.h"
#include "base/units.h"
#include "config/client-id.h"
#include "config/internal.h"
#include "config/url.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define IDENTITY_ADDS "{opaque}-{n}"
#define IDENTITY_REPLACES "{opaque}"
#define IDENTITY_DEFAULT_MAX (sizeof(IDENTITY_ADDS) + DEVICE_ID_MAX + 1)
#define PROFILE_DEFAULT "senml"
#define CLIENT_ID_DEFAULT "{device}"
#define GATEWAY_DEFAULT "gateway" /* of a machine without a name */

static const char *const suites_known[] = {"ecdhe-psk", "ecdhe-psk-cbc", "psk", "psk-ccm8", "psk-cbc", NULL};

/* ---- Uplinks ---- */

struct config_uplink *config_uplink_unref(struct config_uplink *u)
{
    if (!u || --u->refs > 0)
        return NULL;
    free(u->name);
    free(u->url);
    free(u->host);
    free(u->others);
    free(u->profile);
    for (char **s = u->suites; s && *s; s++)
        free(*s);
    free(u->suites);
    free(u->identity);
    free(u->client_id);
    free(u->gateway);
    config_registrar_done(&u->registrar);
    free(u);
    return NULL;
}

/* The addresses as they stand, one or a list: how many; 0 with a mistake. */
static size_t read_texts(struct reader *r, struct value v, const char *texts[static UPLINK_HOSTS_MAX],
                         uint32_t nodes[static UPLINK_HOSTS_MAX])
{
    size_t n = json_object_is_type(v.json, json_type_array) ? json_object_array_length(v.json) : 0;

    if (json_object_is_type(v.json, json_type_string)) {
        texts[0] = json_object_get_string(v.json);
        nodes[0] = v.node;
        return 1;
    }
    if (n == 0 || n > UPLINK_HOSTS_MAX) {
        reader_mistake(r, v.node, "\"url\" is neither an address nor a list of 1 to %d, which are tried in order",
                       UPLINK_HOSTS_MAX);
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        json_object *o = json_object_array_get_idx(v.json, i);
        char index[24];

        snprintf(index, sizeof(index), "%zu", i);
        nodes[i] = prescan_child(r->map, v.node, index);
        if (!json_object_is_type(o, json_type_string)) {
            reader_mistake(r, nodes[i], "expected the address of a host, a text");
            return 0;
        }
        texts[i] = json_object_get_string(o);
    }
    return n;
}

static const char *url_fault(const struct config_url *urls, size_t i)
{
    if (urls[i].mqtt != urls[0].mqtt)
        return "the hosts of an uplink are all coaps:// or all mqtts://";
    for (size_t k = 0; k < i; k++)
        if (urls[k].port == urls[i].port && strcasecmp(urls[k].host, urls[i].host) == 0)
            return "this host stands here already; expected each once";
    return NULL;
}

static void read_url(struct reader *r, struct value object, struct config_uplink *u)
{
    const char *texts[UPLINK_HOSTS_MAX];
    uint32_t nodes[UPLINK_HOSTS_MAX];
    struct config_url urls[UPLINK_HOSTS_MAX];
    struct value v;
    struct error e;
    size_t n;

    if (!reader_member(r, object, "url", true, &v))
        return;
    n = read_texts(r, v, texts, nodes);
    for (size_t i = 0; i < n; i++) {
        const char *fault;

        if (config_url_parse(texts[i], &urls[i], &e) < 0) {
            reader_mistake(r, nodes[i], "%s", e.text);
            return;
        }
        fault = url_fault(urls, i);
        if (fault) {
            reader_mistake(r, nodes[i], "\"%.100s\": %s", texts[i], fault);
            return;
        }
    }
    if (n == 0)
        return;
    config_copy(r, texts[0], &u->url);
    config_copy(r, urls[0].host, &u->host);
    u->port = urls[0].port;
    u->mqtt = urls[0].mqtt;
    u->others = n > 1 ? calloc(n - 1, sizeof(*u->others)) : NULL;
    if (n > 1 && !u->others) {
        r->mistakes->failed = -ENOMEM;
        return;
    }
    if (n > 1)
        memcpy(u->others, urls + 1, (n - 1) * sizeof(*u->others));
    u->n_others = n - 1;
}

static void read_profile(struct reader *r, struct value object, struct config_uplink *u)
{
    const char *text = PROFILE_DEFAULT;
    struct value v;

    if (reader_string(r, object, "profile", false, &text) && !id_valid(text)) {
        reader_member(r, object, "profile", true, &v);
        reader_mistake(r, v.node, "\"%.64s\" is not the name of a profile; expected " ID_RULE, text);
        return;
    }
    config_copy(r, text, &u->profile);
}

/* Notes what is wrong with one suite of a list, whose good ones so far are in `list`. */
static bool suite_good(struct reader *r, uint32_t node, const char *text, char *const list[])
{
    const char *near;
    size_t i = 0;

    while (suites_known[i] && strcmp(suites_known[i], text) != 0)
        i++;
    if (!suites_known[i]) {
        near = nearest_word(text, suites_known);
        reader_mistake(r, node,
                       "\"%.64s\" is not a suite; %s%s%sexpected ecdhe-psk, ecdhe-psk-cbc, psk, psk-ccm8 or psk-cbc",
                       text, near ? "did you mean \"" : "", near ?: "", near ? "\"? " : "");
        return false;
    }
    for (; *list; list++)
        if (strcmp(*list, text) == 0) {
            reader_mistake(r, node, "\"%s\" is in this list twice", text);
            return false;
        }
    return true;
}

static void read_suites(struct reader *r, struct value object, struct config_uplink *u)
{
    static const char *const standard[] = {"ecdhe-psk", "psk"};
    struct value v;
    size_t n;

    u->suites = calloc(ELEMENTSOF(suites_known), sizeof(*u->suites));
    if (!u->suites) {
        r->mistakes->failed = -ENOMEM;
        return;
    }
    if (!reader_member(r, object, "suites", false, &v)) {
        for (size_t i = 0; i < ELEMENTSOF(standard); i++)
            config_copy(r, standard[i], &u->suites[i]);
        return;
    }
    n = json_object_is_type(v.json, json_type_array) ? json_object_array_length(v.json) : 0;
    if (n == 0)
        reader_mistake(r, v.node, "\"suites\" is not a list of suites; expected one such as [\"ecdhe-psk\", \"psk\"]");
    for (size_t i = 0, good = 0; i < n; i++) {
        json_object *o = json_object_array_get_idx(v.json, i);
        char index[24];
        uint32_t node;

        snprintf(index, sizeof(index), "%zu", i);
        node = prescan_child(r->map, v.node, index);
        if (!json_object_is_type(o, json_type_string))
            reader_mistake(r, node, "expected the name of a suite, a text");
        else if (suite_good(r, node, json_object_get_string(o), u->suites))
            config_copy(r, json_object_get_string(o), &u->suites[good++]);
    }
}

/* Identities go over the wire and into servers' files, where ':' and ',' separate: printable ASCII without those. */
static bool identity_character(char b)
{
    return b > 0x20 && b < 0x7f && !strchr(":,\"\\{}", b);
}

/* NULL, or what is wrong with the template. */
static const char *identity_fault(const char *text, bool replaces)
{
    static const struct {
        const char *text;
        size_t length;
    } words[] = {{"{opaque}", OPAQUE_ID_LENGTH}, {"{device}", DEVICE_ID_MAX}, {"{n}", IDENTITY_NUMBER_LENGTH}};
    bool seen[ELEMENTSOF(words)] = {0};
    size_t length = 0;

    while (*text) {
        size_t i = 0;

        while (i < ELEMENTSOF(words) && strncmp(text, words[i].text, strlen(words[i].text)) != 0)
            i++;
        if (i < ELEMENTSOF(words)) {
            seen[i] = true;
            length += words[i].length;
            text += strlen(words[i].text);
            continue;
        }
        if (*text == '{' || *text == '}')
            return "has a brace that does not belong to {opaque}, {device} or {n}";
        if (!identity_character(*text))
            return "has a character that servers do not take in an identity; expected printable ASCII without : , \" \\";
        length++;
        text++;
    }
    if (!seen[0] && !seen[1])
        return "has neither {opaque} nor {device}, so all devices would have the same identity";
    if (!seen[2] && !replaces)
        return "has no {n}, so a new key could not have a new identity; only a registrar of \"mode\": \"replaces\" keeps one";
    if (seen[2] && replaces)
        return "has {n}, but a registrar of \"mode\": \"replaces\" keeps one identity; take {n} away";
    return length > IDENTITY_MAX ? "can become longer than the 128 bytes that an identity may have" : NULL;
}

/* Behind the name comes the project or tenant, by which those clouds find it. */
static bool identity_in_realm(const char *text, const char *realm)
{
    size_t n = strlen(text), k = strlen(realm);

    return n > k + 1 && text[n - k - 1] == '@' && strcmp(text + n - k, realm) == 0;
}

static void read_identity(struct reader *r, struct value object, struct config_uplink *u)
{
    const struct config_registrar *registrar = &u->registrar;
    const char *fault, *text;
    char standard[IDENTITY_DEFAULT_MAX];
    struct value v;

    snprintf(standard, sizeof(standard), "%s%s%s", registrar->replaces ? IDENTITY_REPLACES : IDENTITY_ADDS,
             registrar->realm ? "@" : "", registrar->realm ?: "");
    text = standard;
    if (reader_string(r, object, "identity", false, &text)) {
        reader_member(r, object, "identity", true, &v);
        fault = identity_fault(text, registrar->replaces);
        if (fault)
            reader_mistake(r, v.node, "the identity \"%.128s\" %s", text, fault);
        else if (registrar->realm && !identity_in_realm(text, registrar->realm))
            reader_mistake(r, v.node, "the identity \"%.128s\" does not end in \"@%s\", as this cloud's identities do",
                           text, registrar->realm);
    }
    config_copy(r, text, &u->identity);
}

static void read_client_id(struct reader *r, struct value object, struct config_uplink *u)
{
    const char *text = CLIENT_ID_DEFAULT, *fault;
    struct value v;

    if (reader_string(r, object, "client_id", false, &text)) {
        reader_member(r, object, "client_id", true, &v);
        fault = client_id_fault(text);
        if (fault)
            reader_mistake(r, v.node, "the client id \"%.128s\" %s", text, fault);
    }
    config_copy(r, text, &u->client_id);
}

/* Reads the keys of one transport only. */
static void read_transport(struct reader *r, struct value object, struct config_uplink *u)
{
    static const char *const keys[] = {"client_id", "mqtt_version", "session_expiry", "retained_commands",
                                       "follow_references"};
    static const char *const versions[] = {"auto", "5", "3.1.1", NULL};
    unsigned version = CONFIG_MQTT_AUTO;
    struct value v;

    for (size_t i = 0; u->host && !u->mqtt && i < ELEMENTSOF(keys); i++)
        if (reader_member(r, object, keys[i], false, &v))
            reader_mistake(r, v.node, "\"%s\" is for uplinks over mqtts:// only", keys[i]);
    if (!u->mqtt)
        return;
    read_client_id(r, object, u);
    if (reader_word(r, object, "mqtt_version", versions, &version))
        u->mqtt_version = (enum config_mqtt_version)version;
    reader_duration(r, object, "session_expiry", USEC_PER_SEC, CONFIG_SESSION_EXPIRY_MAX, &u->session_expiry);
    reader_bool(r, object, "retained_commands", &u->retained_commands);
    reader_bool(r, object, "follow_references", &u->follow_references);
    if (u->follow_references && u->mqtt_version == CONFIG_MQTT_311 &&
        reader_member(r, object, "follow_references", true, &v))
        reader_mistake(r, v.node, "\"follow_references\" needs MQTT 5: before that no broker names another server");
    if (u->registrar.type == CONFIG_REGISTRAR_COAP && reader_object(r, object, "registrar", true, &v) &&
        reader_member(r, v, "type", true, &v))
        reader_mistake(
            r, v.node,
            "a registrar of type \"coap\" tells keys over CoAP, but this uplink is mqtts://; expected manual, "
            "exec, golioth or hono");
}

static void read_admission(struct reader *r, struct value object, struct config_admission *ret)
{
    static const char *const known[] = {"concurrent", "rate", "jitter", NULL};
    struct value v;

    *ret = (struct config_admission){
        .concurrent = ADMISSION_CONCURRENT, .rate = ADMISSION_PER_SEC, .jitter = ADMISSION_JITTER};
    if (!reader_member(r, object, "admission", false, &v))
        return;
    if (json_object_is_type(v.json, json_type_string) && strcmp(json_object_get_string(v.json), "unlimited") == 0) {
        ret->unlimited = true;
        return;
    }
    if (!json_object_is_type(v.json, json_type_object)) {
        reader_mistake(r, v.node, "\"admission\" is neither \"unlimited\" nor an object with concurrent, rate, jitter");
        return;
    }
    reader_known(r, v, known);
    reader_unsigned(r, v, "concurrent", 1, ARENA_CELLS, &ret->concurrent);
    reader_unsigned(r, v, "rate", 1, 100000, &ret->rate);
    reader_duration(r, v, "jitter", 0, USEC_PER_HOUR, &ret->jitter);
}

static void read_keepalive(struct reader *r, struct value object, bool mqtt, uint64_t *ret)
{
    struct value v;

    *ret = mqtt ? MQTT_KEEPALIVE : COAP_KEEPALIVE;
    if (reader_member(r, object, "keepalive", false, &v) && json_object_is_type(v.json, json_type_string) &&
        strcmp(json_object_get_string(v.json), "never") == 0)
        *ret = USEC_INFINITY;
    else
        reader_duration(r, object, "keepalive", COAP_KEEPALIVE_MIN, COAP_KEEPALIVE_MAX, ret);
}

static void read_delivery(struct reader *r, struct value object, struct config_uplink *u)
{
    static const char *const orders[] = {"oldest", "latest", NULL};
    uint64_t max_payload = 0;
    unsigned word = 0;

    reader_size(r, object, "max_payload", CONFIG_PAYLOAD_MIN, COAP_BODY_MAX, &max_payload);
    u->max_payload = (unsigned)max_payload;
    reader_unsigned(r, object, "drain_rate", 1, UPLINK_DRAIN_RATE_MAX, &u->drain_rate);
    if (reader_word(r, object, "order", orders, &word))
        u->order = word == 0 ? CONFIG_ORDER_OLDEST : CONFIG_ORDER_LATEST;
}

/* An option of earlier versions; without words of its own its text would be that of a misspelt key. */
static void refuse_nstart(struct reader *r, struct value object)
{
    struct value v;

    if (!reader_member(r, object, "nstart", false, &v))
        return;
    reader_mistake_key(
        r, v.node,
        "\"nstart\" is no longer an option: a device's packs go one after the other, so that its samples "
        "arrive in order; remove it");
    json_object_object_del(object.json, "nstart");
}

static int read_uplink(struct reader *r, const char *name, struct value v, const char *gateway, struct config *c)
{
    static const char *const known[] = {
        "url",       "profile",    "suites",         "identity",          "registrar",
        "admission", "keepalive",  "max_payload",    "client_id",         "mqtt_version",
        "order",     "drain_rate", "session_expiry", "retained_commands", "follow_references",
        NULL};
    struct config_uplink *u = calloc(1, sizeof(*u));

    if (!u)
        return -ENOMEM;
    u->refs = 1;
    c->uplinks[c->n_uplinks++] = u;
    config_copy(r, name, &u->name);
    config_copy(r, gateway, &u->gateway);
    if (!id_valid(name))
        reader_mistake_key(r, v.node, "\"%.64s\" is not a name for an uplink; expected " ID_RULE, name);
    if (!json_object_is_type(v.json, json_type_object)) {
        reader_mistake(r, v.node, "the uplink \"%.64s\" is not an object {...}", name);
        return 0;
    }
    refuse_nstart(r, v);
    reader_known(r, v, known);
    read_url(r, v, u);
    read_profile(r, v, u);
    read_suites(r, v, u);
    config_read_registrar(r, v, &u->registrar);
    read_identity(r, v, u);
    read_transport(r, v, u);
    read_admission(r, v, &u->admission);
    read_keepalive(r, v, u->mqtt, &u->keepalive);
    read_delivery(r, v, u);
    return 0;
}

/* The host's name as far as it may stand in a topic, a path and a client id. */
static void host_name(char ret[static DEVICE_ID_MAX + 1])
{
    char name[HOST_NAME_MAX + 1] = "";
    size_t n = 0;

    if (gethostname(name, sizeof(name)) < 0)
        name[0] = 0;
    name[HOST_NAME_MAX] = 0;
    for (; name[n] && n < DEVICE_ID_MAX; n++)
        ret[n] = isalnum((unsigned char)name[n]) || (n > 0 && strchr("._-", name[n])) ? name[n] : '0';
    ret[n] = 0;
    if (n == 0)
        memcpy(ret, GATEWAY_DEFAULT, sizeof(GATEWAY_DEFAULT));
}

static void read_gateway(struct reader *r, struct value root, char ret[static DEVICE_ID_MAX + 1])
{
    const char *text;
    struct value v;

    host_name(ret);
    if (!reader_string(r, root, "gateway", false, &text))
        return;
    reader_member(r, root, "gateway", true, &v);
    if (id_valid(text))
        memcpy(ret, text, strlen(text) + 1); /* an id is no longer than that */
    else
        reader_mistake(r, v.node, "\"%.64s\" is not a name for this gateway; expected " ID_RULE, text);
}

static int read_uplinks(struct reader *r, struct value root, struct config *c)
{
    char gateway[DEVICE_ID_MAX + 1];
    struct value v;
    int k = 0;

    read_gateway(r, root, gateway);
    if (!reader_object(r, root, "uplinks", false, &v))
        return 0;
    if (json_object_object_length(v.json) > UPLINKS_MAX) {
        reader_mistake(r, v.node, "there are %d uplinks; at most %d are possible", json_object_object_length(v.json),
                       UPLINKS_MAX);
        return 0;
    }
    c->uplinks = calloc((size_t)json_object_object_length(v.json) + 1, sizeof(*c->uplinks));
    if (!c->uplinks)
        return -ENOMEM;
    json_object_object_foreach (v.json, name, o) {
        struct value uplink = {o, prescan_child(r->map, v.node, name)};

        if (k >= 0)
            k = read_uplink(r, name, uplink, gateway, c);
    }
    return k;
}

/* ---- The rest ---- */

static void read_window(struct reader *r, struct value object, struct window *ret)
{
    const char *text;
    struct value v;
    struct error e;

    if (!reader_string(r, object, "window", false, &text) || window_parse(text, ret, &e) >= 0)
        return;
    reader_member(r, object, "window", true, &v);
    reader_mistake(r, v.node, "\"window\" %s", e.text);
}

static void read_rotation(struct reader *r, struct value root, struct config_rotation *ret)
{
    static const char *const known[] = {"max_age", "retire_after", "concurrent", "rate", "window", NULL};
    char text[UNITS_TEXT_MAX];
    struct value v, age, after;

    *ret = (struct config_rotation){.max_age = ROTATION_MAX_AGE_DEFAULT,
                                    .retire_after = ROTATION_RETIRE_AFTER_DEFAULT,
                                    .concurrent = ROTATION_CONCURRENT_DEFAULT,
                                    .rate = ROTATION_RATE_DEFAULT};
    if (!reader_object(r, root, "rotation", false, &v))
        return;
    reader_known(r, v, known);
    if (reader_member(r, v, "max_age", false, &age) && json_object_is_type(age.json, json_type_string) &&
        strcmp(json_object_get_string(age.json), "never") == 0)
        ret->max_age = USEC_INFINITY;
    else
        reader_duration(r, v, "max_age", USEC_PER_SEC, CONFIG_DURATION_MAX, &ret->max_age);
    if (!reader_duration(r, v, "retire_after", 0, CONFIG_DURATION_MAX, &ret->retire_after))
        ret->retire_after = MIN_OF(ret->retire_after, ret->max_age / 4);
    else if (reader_member(r, v, "retire_after", true, &after) && ret->retire_after >= ret->max_age)
        reader_mistake(r, after.node,
                       "\"retire_after\" is not shorter than \"max_age\", %s: an old key would outlive the next",
                       duration_format(ret->max_age, text));
    reader_unsigned(r, v, "concurrent", 1, ARENA_CELLS, &ret->concurrent);
    reader_unsigned(r, v, "rate", 1, ROTATION_RATE_MAX, &ret->rate);
    read_window(r, v, &ret->window);
}

static void read_spool(struct reader *r, struct value root, struct config_spool *ret)
{
    static const char *const known[] = {"durability", "max_bytes", "max_age", NULL};
    static const char *const words[] = {"outage", "always", "memory", NULL};
    unsigned durability = 0;
    struct value v;

    *ret = (struct config_spool){CONFIG_DURABILITY_OUTAGE, SPOOL_BYTES_DEFAULT, SPOOL_AGE_DEFAULT};
    if (!reader_object(r, root, "spool", false, &v))
        return;
    reader_known(r, v, known);
    if (reader_word(r, v, "durability", words, &durability))
        ret->durability = (enum config_durability)durability;
    reader_size(r, v, "max_bytes", SPOOL_BYTES_MIN, SPOOL_BYTES_MAX, &ret->max_bytes);
    reader_duration(r, v, "max_age", USEC_PER_SEC, CONFIG_DURATION_MAX, &ret->max_age);
}

static int read_root(struct reader *r, struct config *c)
{
    static const char *const known[] = {"gateway", "uplinks", "rotation", "spool", "vault", "clock", NULL};
    static const char *const clocks[] = {"synchronized", "trust", NULL};
    struct value root = reader_root(r);
    unsigned clock = 0;
    int k;

    if (!json_object_is_type(root.json, json_type_object)) {
        reader_mistake(r, root.node, "expected an object {...} with uplinks, rotation, spool and vault");
        return -EBADMSG;
    }
    config_refuse_secrets(r, "uplinks");
    reader_known(r, root, known);
    k = read_uplinks(r, root, c);
    read_rotation(r, root, &c->rotation);
    read_spool(r, root, &c->spool);
    config_read_vault(r, root, &c->vault);
    (void)reader_word(r, root, "clock", clocks, &clock);
    c->clock_trust = clock == 1;
    if (k < 0)
        return k;
    if (r->mistakes->failed < 0)
        return r->mistakes->failed;
    return reader_good(r) ? 0 : -EBADMSG;
}

int config_parse_globals(struct config *c, char *text, size_t n, struct mistakes *mistakes)
{
    _cleanup_(reader_done) struct reader r = {0};
    int k;

    c->file_digest = config_digest(text, n);
    k = reader_open(&r, c->file, text, n, mistakes);
    return k < 0 ? k : read_root(&r, c);
}

int config_read_globals(struct config *c, const char *path, struct mistakes *mistakes)
{
    _cleanup_free_ char *text = NULL;
    size_t n;
    int k;

    c->file = strdup(path);
    if (!c->file)
        return -ENOMEM;
    k = config_read_file(path, &text, &n, mistakes);
    return k < 0 ? k : config_parse_globals(c, text, n, mistakes);
}
