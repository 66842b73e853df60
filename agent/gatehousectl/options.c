/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command line, by the tables of verbs.h. */
#include "base/options.h"
#include "base/device-state.h"

#include "verbs.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define OPTION_VALUE(id) (256 + (int)(id)) /* of a long option, as getopt gives it */

#define FLAG(field) .offset = offsetof(struct ctl, field)
#define VALUE(field, what) .value = what, .offset = offsetof(struct ctl, field)

const struct option_row option_rows[OPTION_LAST + 1] = {
    [OPTION_HELP] = {"help", .letter = 'h', FLAG(help), .help = "show this help, behind a verb that of the verb"},
    [OPTION_VERSION] = {"version", FLAG(version), .help = "show the version"},
    [OPTION_JSON] = {"json", VALUE(json, "FORM"), .choices = "pretty|short|off", .help = "output for programs"},
    [OPTION_QUIET] = {"quiet", .letter = 'q', FLAG(quiet), .help = "print errors only"},
    [OPTION_HOST] = {"host", .letter = 'H', VALUE(host, "[USER@]HOST"), .help = "the agent of another machine, by ssh"},
    [OPTION_NO_PAGER] = {"no-pager", FLAG(no_pager), .help = "do not page the output"},
    [OPTION_NO_LEGEND] = {"no-legend", FLAG(no_legend), .help = "print neither headings nor sums"},
    [OPTION_YES] = {"yes", FLAG(yes), .help = "do not ask"},
    [OPTION_ADD] = {"add", FLAG(add), .help = "add the sensor as a device"},
    [OPTION_AGENT_PROGRAM] = {"agent-program", VALUE(agent_program, "FILE"), .help = "what checks it (" GATEHOUSED ")"},
    [OPTION_ALL] = {"all", FLAG(all), .help = "all of them"},
    [OPTION_COMPROMISED] = {"compromised", FLAG(compromised), .help = "the present key is known to others"},
    [OPTION_CONFIG_DIR] = {"config-dir", VALUE(config_dir, "DIR"),
                           .help = "where the configuration is (" CONFIG_DIR ")"},
    [OPTION_COUNT] = {"count", VALUE(count, "N"),
                      .help = "devices named by --prefix and the numbers 1 to N, without a list"},
    [OPTION_DIRECTORY] = {"directory", VALUE(list_dir, "DIR"), .help = "every list of a directory, each once"},
    [OPTION_DRIVER] = {"driver", VALUE(driver, "DRIVER"), .help = "only devices of this driver"},
    [OPTION_DRIVER_PROGRAM] = {"driver-program", VALUE(driver_program, "FILE"),
                               .help = "what loads plugins (" GATEHOUSE_DRIVER ")"},
    [OPTION_DRY_RUN] = {"dry-run", FLAG(dry_run), .help = "check everything and tell what would change"},
    [OPTION_ENCODING] = {"encoding", VALUE(encoding, "ENCODING"), .help = "of the key"},
    [OPTION_FOR_IMAGE] = {"for-image", FLAG(for_image), .help = "confirms what the reset is for"},
    [OPTION_FORCE] = {"force", FLAG(force), .help = "do it although it is dangerous"},
    [OPTION_FORMAT] = {"format", VALUE(format, "FORMAT"), .help = "of the list"},
    [OPTION_FULL] = {"full", FLAG(full), .help = "do not cut what is wider than the terminal"},
    [OPTION_KEEP] = {"keep", FLAG(keep), .help = "leave its credentials, here and at the cloud"},
    [OPTION_KEYFILE] = {"keyfile", VALUE(keyfile, "FILE"),
                        .help = "the keyfile of the agent (" KEYFILE_DIR "/" KEYFILE_CURRENT ")"},
    [OPTION_KIND] = {"kind", VALUE(kind, "KIND"), .choices = "psk|bind|login",
                     .help =
                         "of the key: psk, for the cloud (default), bind, with which its sensor encrypts, or login, a "
                         "user name and a password"},
    [OPTION_LATEST] = {"latest", FLAG(latest),
                       .help = "the newest value of each point that is known, without asking its sensor"},
    [OPTION_LINES] = {"lines", FLAG(lines), .help = "a line an event, as into a pipe, at a terminal too"},
    [OPTION_LIST] = {"list", FLAG(list), .help = "show which there are instead"},
    [OPTION_NO_WAIT] = {"no-wait", FLAG(no_wait), .help = "begin it, and do not wait for its end"},
    [OPTION_PLUGIN_DIR] = {"plugin-dir", VALUE(plugin_dir, "DIR"),
                           .help = "where the plugins are (" GATEHOUSE_PLUGIN_DIR ")"},
    [OPTION_PREFIX] = {"prefix", VALUE(prefix, "TEXT"), .help = "of the ids that --count makes (device-)"},
    [OPTION_READ] = {"read", VALUE(read, "WHAT"),
                     .help = "TABLE:ADDRESS[:REGISTERS[:TYPE[:ORDER]]], as input:0:2:float32"},
    [OPTION_REGISTERED] = {"registered", FLAG(registered), .help = "the cloud has these keys already"},
    [OPTION_ROOT] = {"root", VALUE(root, "DIR"), .help = "look at the system in this directory"},
    [OPTION_SENSOR] = {"sensor", VALUE(sensor, "STATE"), .choices = "ok|degraded|failed|closed|unknown|no-driver",
                       .several = true, .help = "only devices whose sensor is in this state"},
    [OPTION_SKIP_EXISTING] = {"skip-existing", FLAG(skip), .help = "pass over devices that have a key"},
    [OPTION_STATE] = {"state", VALUE(state, "STATE"), .choices = DEVICE_STATE_CHOICES "bad-setting", .several = true,
                      .help = "only devices in this state"},
    [OPTION_STATE_DIR] = {"state-dir", VALUE(state_dir, "DIR"), .help = "where the vault is (" STATE_DIR ")"},
    [OPTION_TEMPLATE] = {"template", VALUE(template, "FILE"),
                         .help = "device settings that a row does not give, as in a device file; -: standard input"},
    [OPTION_TIMEOUT] = {"timeout", VALUE(timeout, "DURATION"),
                        .help = "wait no longer (30s, 5min); it goes on by itself"},
    [OPTION_TRACE] = {"trace", FLAG(trace), .help = "put what is sent and received into the driver's log"},
    [OPTION_TYPE] = {"type", VALUE(type, "TYPE"), .choices = "b|x|t|d|s",
                     .help = "of the value, as on D-Bus, where its form does not say"},
    [OPTION_UNIT] = {"unit", VALUE(unit, "UNIT"), .help = "of the bus (1)"},
    [OPTION_UNITS] = {"units", VALUE(units, "FIRST-LAST"), .help = "only these (1-247)"},
    [OPTION_UPLINK] = {"uplink", VALUE(uplink, "UPLINK"), .help = "only devices of this uplink"},
    [OPTION_URL] = {"url", VALUE(url, "URL"), .help = "a bus, with or without a configured device"},
};

/* ── Values ── */

static bool among(const char *choices, const char *text, size_t n)
{
    for (const char *at = choices; n > 0 && at; at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL)
        if (strncmp(at, text, n) == 0 && (at[n] == '|' || at[n] == 0))
            return true;
    return false;
}

/* Each word of a list with commas; a single one where the option takes no list. */
static bool all_among(const struct option_row *row, const char *text)
{
    do {
        size_t n = row->several ? strcspn(text, ",") : strlen(text);

        if (!among(row->choices, text, n))
            return false;
        text += n;
    } while (*text++ == ',');
    return true;
}

static bool check_value(const struct option_row *row, const char *value)
{
    if (!row->choices || all_among(row, value))
        return true;
    print_error("--%s takes %s, not '%s'", row->name, row->choices, value);
    return false;
}

static int set_option(struct ctl *c, enum option_id id, const char *value)
{
    const struct option_row *row = &option_rows[id];
    void *field = (char *)c + row->offset;

    /* Of a verb's own it is asked later whether the verb has it at all. */
    if (id <= OPTION_GENERAL_LAST && !check_value(row, value))
        return EXIT_USAGE;
    if (row->value)
        *(const char **)field = value;
    else
        *(bool *)field = true;
    if (id == OPTION_JSON)
        c->output = value[0] == 'p' ? OUTPUT_JSON_PRETTY : value[0] == 's' ? OUTPUT_JSON_SHORT : OUTPUT_TEXT;
    return 0;
}

/* ── Words ── */

/* -5, -.5, -1e3, -inf: whatever strtod() takes whole. No option looks like one. */
static bool negative_number(const char *word)
{
    char *end;

    if (word[0] != '-' || word[1] == 0 || word[1] == '-')
        return false;
    (void)strtod(word, &end);
    return *end == 0;
}

/* The only option that begins so, or NULL. */
static const char *meant(const char *name, size_t n)
{
    const char *found = NULL;

    for (size_t i = 1; i < ELEMENTSOF(option_rows); i++)
        if (strncmp(option_rows[i].name, name, n) == 0) {
            if (found)
                return NULL;
            found = option_rows[i].name;
        }
    return found;
}

/* Refuses an option that getopt does not know: `code` is what it returned. */
static int misuse(char **argv, int code)
{
    const char *word = argv[optind - 1];
    size_t n = strcspn(word, "=");
    const char *name = n > 2 ? meant(word + 2, n - 2) : NULL;

    if (code == ':')
        print_error("option '%s' needs a value", word);
    else if (optopt > 0 && optopt < OPTION_VALUE(0))
        print_error("unknown option '-%c'; see gatehousectl --help", optopt);
    else if (optopt > 0)
        print_error("option '%.*s' takes no value", (int)n, word);
    else if (name)
        print_error("unknown option '%.*s'; did you mean '--%s'?", (int)n, word, name);
    else
        print_error("unknown option '%.*s'; see gatehousectl --help", (int)n, word);
    return EXIT_USAGE;
}

static void make_getopt_table(struct option options[ELEMENTSOF(option_rows)], char letters[64])
{
    size_t n = 0;

    letters[n++] = '-'; /* in order, so that a negative number can be taken out before getopt sees it */
    letters[n++] = ':';
    for (size_t i = 1; i < ELEMENTSOF(option_rows); i++) {
        const struct option_row *row = &option_rows[i];

        options[i - 1] =
            (struct option){row->name, row->value ? required_argument : no_argument, NULL, OPTION_VALUE(i)};
        if (!row->letter)
            continue;
        letters[n++] = row->letter;
        if (row->value)
            letters[n++] = ':';
    }
    letters[n] = 0;
}

static enum option_id of_letter(int letter)
{
    for (size_t i = 1; i < ELEMENTSOF(option_rows); i++)
        if (option_rows[i].letter == letter)
            return (enum option_id)i;
    return OPTION_END;
}

/* Goes on behind a mistake: --json, which says how to report it, may come later. */
static int take_words(struct ctl *c, int argc, char **argv, struct parsed *ret, uint64_t *ret_given)
{
    struct option options[ELEMENTSOF(option_rows)] = {0};
    char letters[64];
    int code, status = 0;

    make_getopt_table(options, letters);
    opterr = 0;
    for (;;) {
        enum option_id id;
        int r;

        while (optind < argc && negative_number(argv[optind]))
            ret->argv[ret->argc++] = argv[optind++];
        code = options_next(argc, argv, letters, options);
        if (code == -1)
            break;
        if (code == 1) {
            ret->argv[ret->argc++] = optarg;
            continue;
        }
        if (code == '?' || code == ':') {
            status = misuse(argv, code);
            continue;
        }
        id = code >= OPTION_VALUE(0) ? (enum option_id)(code - OPTION_VALUE(0)) : of_letter(code);
        *ret_given |= UINT64_C(1) << id;
        r = set_option(c, id, optarg);
        status = r != 0 ? r : status;
    }
    while (optind < argc)
        ret->argv[ret->argc++] = argv[optind++];
    return status;
}

/* ── The verb ── */

/* How many words of the operands are its name; 0 if it is another. */
static int matches(const struct verb *verb, int argc, char **argv)
{
    const char *space = strchr(verb->name, ' ');

    if (!space)
        return strcmp(verb->name, argv[0]) == 0;
    if (argc < 2 || strncmp(verb->name, argv[0], (size_t)(space - verb->name)) != 0 || argv[0][space - verb->name] != 0)
        return 0;
    return strcmp(space + 1, argv[1]) == 0 ? 2 : 0;
}

const struct verb *verb_find(int argc, char **argv, int *ret_words)
{
    for (size_t i = 0; argc > 0 && i < n_verbs; i++) {
        int words = matches(&verbs[i], argc, argv);

        if (words > 0) {
            *ret_words = words;
            return &verbs[i];
        }
    }
    return NULL;
}

static int unknown_verb(const struct parsed *parsed)
{
    const char *word = parsed->argv[0];

    if (!help_forms(word, NULL))
        print_error("unknown verb '%s'; see gatehousectl --help", word);
    else if (parsed->argc < 2)
        print_error("'%s' needs a second word:", word);
    else
        print_error("unknown verb '%s %s':", word, parsed->argv[1]);
    help_forms(word, stderr);
    return EXIT_USAGE;
}

static int check_options(const struct ctl *c, const struct verb *verb, uint64_t given)
{
    char own[512];
    int status = 0;

    for (unsigned id = OPTION_GENERAL_LAST + 1; id <= OPTION_LAST; id++) {
        const struct option_row *row = &option_rows[id];

        if (!(given >> id & 1))
            continue;
        if (verb_option(verb, (enum option_id)id)) {
            if (row->value && !check_value(row, *(const char *const *)(const void *)((const char *)c + row->offset)))
                status = EXIT_USAGE;
            continue;
        }
        help_option_names(verb, own, sizeof(own));
        print_error("%s has no option --%s; it takes %s (see gatehousectl %s --help)", verb->name, row->name, own,
                    verb->name);
        status = EXIT_USAGE;
    }
    if (status == 0 && verb->local && c->host) {
        print_error("%s runs on the gateway itself: ssh %s gatehousectl %s", verb->name, c->host, verb->name);
        status = EXIT_USAGE;
    }
    return status;
}

static int check_operands(const struct verb *verb, int argc)
{
    if (argc >= verb->min && argc <= verb->max)
        return 0;
    print_error("%s: %s", verb->name, argc < verb->min ? "an operand is missing" : "too many operands");
    help_forms(verb->name, stderr);
    return EXIT_USAGE;
}

int options_parse(struct ctl *c, int argc, char **argv, struct parsed *ret)
{
    static char status_word[] = "status";
    uint64_t given = 0;
    int words = 0, status;

    *ret = (struct parsed){.argv = calloc((size_t)argc + 2, sizeof(*ret->argv))};
    if (!ret->argv)
        return EXIT_FAILURE;
    status = take_words(c, argc, argv, ret, &given);
    if (ret->argc == 0 && !c->help && !c->version)
        ret->argv[ret->argc++] = status_word;
    ret->verb = verb_find(ret->argc, ret->argv, &words);
    if (status != 0 || c->version || (ret->argc == 0 && c->help))
        return status;
    if (!ret->verb)
        return c->help && help_forms(ret->argv[0], NULL) ? 0 : unknown_verb(ret);
    memmove(ret->argv, ret->argv + words, (size_t)(ret->argc - words) * sizeof(*ret->argv));
    ret->argc -= words;
    if (c->help)
        return 0;
    status = check_options(c, ret->verb, given);
    return status != 0 ? status : check_operands(ret->verb, ret->argc);
}
