/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Completion for shells. Their scripts ask with what is typed, and get what may follow, from the tables of verbs.h and
 * from the agent. The first line is the kind of the rest and what stands before it in the word, the others a candidate
 * and its description; columns are separated by tabs. */
#include "verbs.h"

#include "devices.h"

#include <stdio.h>
#include <string.h>

struct typed {
    struct ctl *c;
    const char *word; /* the one to complete */
    char **operands;  /* the words of the verb first; owned: the list, not the texts */
    int n_operands, verb_words;
    const struct verb *verb; /* NULL: none yet */
    uint64_t given;          /* options */
    enum option_id value_of; /* whose value the word is; OPTION_END: none's */
    bool only_operands;      /* "--" was typed */
};

/* ── What is typed ── */

static enum option_id option_named(const char *name, size_t n)
{
    for (size_t i = 1; i < ELEMENTSOF(option_rows); i++)
        if (strlen(option_rows[i].name) == n && strncmp(option_rows[i].name, name, n) == 0)
            return (enum option_id)i;
    return OPTION_END;
}

static enum option_id option_of_word(const char *word)
{
    if (word[0] == '-' && word[1] == '-')
        return option_named(word + 2, strcspn(word + 2, "="));
    for (size_t i = 1; i < ELEMENTSOF(option_rows); i++)
        if (word[0] == '-' && word[1] && option_rows[i].letter == word[1])
            return (enum option_id)i;
    return OPTION_END;
}

/* A word before the one to complete. */
static void take_word(struct typed *t, char *word)
{
    enum option_id id;

    if (t->value_of != OPTION_END) {
        t->value_of = OPTION_END;
    } else if (t->only_operands || word[0] != '-' || word[1] == 0) {
        t->operands[t->n_operands++] = word;
    } else if (strcmp(word, "--") == 0) {
        t->only_operands = true;
    } else if ((id = option_of_word(word)) != OPTION_END) {
        t->given |= UINT64_C(1) << id;
        if (option_rows[id].value && !strchr(word, '=') && (word[1] == '-' || word[2] == 0))
            t->value_of = id;
    }
}

/* ── Candidates ── */

static void begin(const char *kind, const char *before, size_t n)
{
    printf("%s\t%.*s\n", kind, (int)n, before);
}

/* Only what goes on with what is typed; no tab or line break of a name can be mistaken for ours. */
static void offer(const char *typed, const char *text, const char *description)
{
    if (strncmp(text, typed, strlen(typed)) == 0 && !text[strcspn(text, "\t\n")])
        printf("%s\t%.*s\n", text, (int)strcspn(description, "\t\n"), description);
}

static void offer_choices(const char *typed, const char *choices)
{
    while (*choices) {
        char text[64];
        size_t n = strcspn(choices, "|");

        snprintf(text, sizeof(text), "%.*s", (int)n, choices);
        offer(typed, text, "");
        choices += n + (choices[n] == '|');
    }
}

static void offer_devices(struct ctl *c, const char *typed)
{
    _cleanup_json_ json_object *rows = NULL;

    if (devices_list(c, &rows) != 0)
        return;
    for (size_t i = 0; i < json_object_array_length(rows); i++)
        offer(typed, row_text(json_object_array_get_idx(rows, i), "device"),
              row_text(json_object_array_get_idx(rows, i), "state"));
}

static void offer_points(struct ctl *c, const char *device, const char *typed)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    _cleanup_json_ json_object *samples = NULL;
    _cleanup_free_ char *path = NULL;

    if (ctl_device(c, device, &path) != 0 || ctl_call(c, path, BUS_INTERFACE_DEVICE, "GetSamples", &reply, "") != 0 ||
        ctl_to_json(reply, &samples) < 0)
        return;
    for (size_t i = 0; i < json_object_array_length(samples); i++) {
        json_object *sample = json_object_array_get_idx(samples, i);

        offer(typed, json_object_get_string(json_object_array_get_idx(sample, 0)),
              json_object_get_string(json_object_array_get_idx(sample, 3)));
    }
}

static void offer_uplinks(struct ctl *c, const char *typed)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    _cleanup_json_ json_object *summary = NULL;
    json_object *uplinks;

    if (ctl_call(c, BUS_PATH_MANAGER, BUS_INTERFACE_MANAGER, "GetSummary", &reply, "") != 0 ||
        ctl_to_json(reply, &summary) < 0)
        return;
    uplinks = json_object_object_get(summary, "Uplinks");
    for (size_t i = 0; i < json_object_array_length(uplinks); i++) {
        json_object *uplink = json_object_array_get_idx(uplinks, i);

        offer(typed, json_object_get_string(json_object_array_get_idx(uplink, 0)),
              json_object_get_string(json_object_array_get_idx(uplink, 1)));
    }
}

static void offer_drivers(struct ctl *c, const char *typed)
{
    _cleanup_json_ json_object *properties = json_object_new_object();
    json_object *drivers;

    if (ctl_property(c, BUS_PATH_MANAGER, BUS_INTERFACE_MANAGER, "Drivers", properties) != 0)
        return;
    drivers = json_object_object_get(properties, "Drivers");
    for (size_t i = 0; i < json_object_array_length(drivers); i++) {
        json_object *driver = json_object_array_get_idx(drivers, i);

        offer(typed, json_object_get_string(json_object_array_get_idx(driver, 0)),
              json_object_get_string(json_object_array_get_idx(driver, 2)));
    }
}

static void offer_jobs(struct ctl *c, const char *typed)
{
    json_object *jobs;

    c->quiet = true; /* the list of verb_job_list() is taken, not printed */
    if (verb_job_list(c, 0, NULL) != 0)
        return;
    jobs = json_object_object_get(ctl_result(c), "jobs");
    for (size_t i = 0; i < json_object_array_length(jobs); i++)
        offer(typed, row_text(json_object_array_get_idx(jobs, i), "Job"),
              row_text(json_object_array_get_idx(jobs, i), "Kind"));
}

/* First words, or second ones behind the first. */
static void offer_verbs(const char *first, const char *typed)
{
    const char *last = "";
    size_t last_n = 0;

    for (size_t i = 0; i < n_verbs; i++) {
        const char *name = verbs[i].name;
        size_t n = strcspn(name, " ");
        char text[64];

        if (first && (strncmp(name, first, n) != 0 || first[n] || !name[n]))
            continue;
        if (!first && n == last_n && strncmp(name, last, n) == 0)
            continue;
        last = name;
        last_n = n;
        snprintf(text, sizeof(text), "%.*s", (int)(first ? strlen(name) : n), first ? name + n + 1 : name);
        offer(typed, text, !first && name[n] ? "" : verbs[i].summary);
    }
}

static void offer_option(const struct option_row *row, const char *help, const char *typed)
{
    char text[64];

    snprintf(text, sizeof(text), "--%s%s", row->name, row->value ? "=" : "");
    offer(typed, text, help ?: row->help);
}

static void offer_options(const struct typed *t)
{
    begin("words", "", 0);
    for (const struct verb_option *o = t->verb ? t->verb->options : NULL; o && o->id != OPTION_END; o++)
        offer_option(&option_rows[o->id], o->help, t->word);
    for (int id = OPTION_END + 1; id <= OPTION_GENERAL_LAST; id++)
        offer_option(&option_rows[id], NULL, t->word);
}

/* ── By what is wanted ── */

/* `what` as in a synopsis: DEVICE, FILE; `before` is what the word has before it. */
static void offer_kind(const struct typed *t, const char *what, const char *word, const char *before, size_t n)
{
    static const struct {
        const char *what, *choices;
    } lists[] = {
        {"SLOT", "main|backup"},
        {"ENCODING", "raw|hex|base64|text"},
        {"FORMAT", "csv|mosquitto|emqx|hono|golioth"},
    };
    struct ctl *c = t->c;

    if (strcmp(what, "FILE") == 0 || strcmp(what, "DIR") == 0) {
        begin(what[0] == 'F' ? "files" : "directories", before, n);
        return;
    }
    begin("words", before, n);
    for (size_t i = 0; i < ELEMENTSOF(lists); i++)
        if (strcmp(lists[i].what, what) == 0)
            offer_choices(word, lists[i].choices);
    if (strcmp(what, "DRIVER") == 0 && t->verb && t->verb->run == verb_scan)
        offer_choices(word, "ble|modbus");
    if (strcmp(what, "VERB") == 0)
        offer_verbs(t->n_operands - t->verb_words > 0 ? t->operands[t->verb_words] : NULL, word);
    if (c->host) /* who completes does not want to wait for ssh, nor to be asked for a password */
        return;
    if (strcmp(what, "DEVICE") == 0)
        offer_devices(c, word);
    else if (strcmp(what, "POINT") == 0)
        offer_points(c, t->operands[t->verb_words], word);
    else if (strcmp(what, "NUMBER") == 0)
        offer_jobs(c, word);
    else if (strcmp(what, "UPLINK") == 0)
        offer_uplinks(c, word);
    else if (strcmp(what, "DRIVER") == 0)
        offer_drivers(c, word);
}

static void offer_value(const struct typed *t, enum option_id id, const char *value, size_t before)
{
    const struct option_row *row = &option_rows[id];
    const char *format = "openmetrics|prometheus";
    const char *comma = row->several || id == OPTION_DRIVER || id == OPTION_UPLINK ? strrchr(value, ',') : NULL;

    if (comma) {
        before += (size_t)(comma + 1 - value);
        value = comma + 1;
    }
    if (row->choices || (id == OPTION_FORMAT && t->verb && t->verb->run == verb_metrics)) {
        begin("words", t->word, before);
        offer_choices(value, row->choices ?: format);
        return;
    }
    offer_kind(t, row->value, value, t->word, before);
}

/* Whether an option that a part of a synopsis names as another way was given: "--all", "--kind=bind". */
static bool other_way(const struct typed *t, const char *part, size_t n)
{
    for (const char *at = part; at < part + n; at += strcspn(at, "|") + 1)
        if (strncmp(at, "--", 2) == 0) {
            enum option_id id = option_named(at + 2, strcspn(at + 2, "=| ]"));

            if (id != OPTION_END && t->given >> id & 1)
                return true;
        }
    return false;
}

/* The operand that comes next, by the verb's synopsis: parts with spaces between them, each of which may be in
 * brackets, have other ways behind bars, and be repeated. */
static void offer_operand(const struct typed *t)
{
    int at = t->n_operands - t->verb_words;
    const char *part = t->verb->operands;
    char what[64] = "";

    while (*part && at >= 0) {
        size_t n = strcspn(part, " "), bracket = part[0] == '[', name = strcspn(part + bracket, "|]. ");

        if (!other_way(t, part, n)) {
            /* a verb may be of two words */
            bool repeated = strncmp(part + bracket + name, "...", 3) == 0 || (t->verb->run == verb_help && at < 2);

            snprintf(what, sizeof(what), "%.*s", (int)name, part + bracket);
            at = repeated ? -1 : at - 1;
        }
        part += n + (part[n] == ' ');
    }
    if (at < 0 && what[0] != '-')
        offer_kind(t, what, t->word, "", 0);
    else
        begin("words", "", 0);
}

static void complete_word(struct typed *t)
{
    const char *equals = strchr(t->word, '=');
    enum option_id id = equals ? option_of_word(t->word) : OPTION_END;

    t->verb = verb_find(t->n_operands, t->operands, &t->verb_words);
    if (t->value_of != OPTION_END) {
        offer_value(t, t->value_of, t->word, 0);
    } else if (!t->only_operands && t->word[0] == '-' && equals && id != OPTION_END && option_rows[id].value) {
        offer_value(t, id, equals + 1, (size_t)(equals + 1 - t->word));
    } else if (!t->only_operands && t->word[0] == '-') {
        offer_options(t);
    } else if (t->verb) {
        offer_operand(t);
    } else {
        begin("words", "", 0);
        if (t->n_operands <= 1)
            offer_verbs(t->n_operands > 0 ? t->operands[0] : NULL, t->word);
    }
}

int complete(struct ctl *c, int argc, char **argv)
{
    struct typed t = {.c = c, .word = argc > 0 ? argv[argc - 1] : ""};

    t.operands = calloc((size_t)argc + 1, sizeof(*t.operands));
    if (!t.operands)
        return EXIT_FAILURE;
    for (int i = 0; i < argc - 1; i++)
        take_word(&t, argv[i]);
    if (t.given >> OPTION_HOST & 1)
        c->host = "";
    complete_word(&t);
    free(t.operands);
    return 0;
}
