/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl.h"

#include "base/log.h"
#include "base/startup.h"

#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static const struct {
    const char *name;
    int min, max; /* arguments behind the verb */
    verb_fn run;
    const char *arguments, *help;
} verbs[] = {
    {"status", 0, 0, verb_status, "", "the agent, its drivers and how many devices are in which state"},
    {"list", 0, 0, verb_list, "", "the devices"},
    {"show", 1, 1, verb_show, "DEVICE", "one device: its credentials, session, samples and last error"},
    {"watch", 0, 64, verb_watch, "[DEVICE...]", "samples, changes of state and rotations as they happen"},
    {"rotate", 0, 10000, verb_rotate, "DEVICE...|--all", "give devices a new key, and wait for it"},
    {"job", 1, 2, verb_job, "list", "long operations of the agent"},
    {"job", 1, 2, verb_job, "wait NUMBER", "wait for one, and say how it ended"},
    {"job", 1, 2, verb_job, "cancel NUMBER", "begin nothing more of one"},
    {"read", 2, 2, verb_read, "DEVICE POINT", "read a point from its sensor now"},
    {"write", 3, 3, verb_write, "DEVICE POINT VALUE", "write a point"},
    {"key", 2, 4, verb_key, "set DEVICE IDENTITY [FILE]",
     "put a key, from FILE or standard input, into main if that is empty, else into backup; --force: in place of a refused one"},
    {"key", 2, 4, verb_key, "forget DEVICE SLOT", "forget a key; backup as soon as that is safe, or with --force"},
    {"key", 2, 4, verb_key, "promote DEVICE", "try the backup key now, which becomes main if it is accepted"},
    {"key", 2, 4, verb_key, "export DEVICE SLOT [FILE]", "write a key to FILE (mode 0600) or standard output"},
    {"device", 2, 3, verb_device, "add DEVICE [FILE]", "add a device, its JSON from FILE or standard input"},
    {"device", 2, 3, verb_device, "remove DEVICE", "remove a device that was added this way"},
    {"provision", 0, 1, verb_provision, "FILE", "make devices and keys of a list: --format, --template, --registered,"},
    {"provision", 0, 1, verb_provision, "--count N --prefix P", "--skip-existing"},
    {"export", 1, 2, verb_export, "FORMAT [FILE]",
     "write all keys for csv, mosquitto, emqx, hono or golioth to FILE (mode 0600) or a pipe: --uplink"},
    {"connect", 1, 1, verb_connect, "DEVICE", "connect at once"},
    {"disconnect", 1, 1, verb_disconnect, "DEVICE", "close the session and keep it closed"},
    {"reload", 0, 0, verb_reload, "", "read the configuration again, all or nothing"},
    {"vault", 1, 2, verb_vault, "init --keyfile FILE", "make a keyfile"},
    {"vault", 1, 2, verb_vault, "verify", "open every record of the vault"},
    {"vault", 1, 2, verb_vault, "rekey [--keyfile FILE]", "seal the vault anew under a new keyfile"},
    {"vault", 1, 2, verb_vault, "recovery-key", "make a second key that opens the vault, and print it once"},
    {"vault", 1, 2, verb_vault, "backup FILE", "write a sealed copy of the vault to a new file"},
    {"vault", 1, 2, verb_vault, "restore FILE", "tell how a backup is put back"},
    {"vault", 1, 2, verb_vault, "reset --for-image",
     "remove keyfile and vault, before an image is taken of this machine"},
};

static void usage(FILE *to)
{
    fputs("usage: gatehousectl [OPTION...] [VERB [ARGUMENT...]]\n\n", to);
    for (size_t i = 0; i < ELEMENTSOF(verbs); i++)
        fprintf(to, "  %-10s %-28s %s\n", verbs[i].name, verbs[i].arguments, verbs[i].help);
    fputs(
        "\n  --json=pretty|short|off  output for programs\n"
        "  --no-pager --no-legend   output without pager, heading and sums\n"
        "  -q, --quiet              only errors\n"
        "  -H, --host=[USER@]HOST   the agent of another machine, by ssh\n"
        "  --encoding=ENCODING      of a key: raw (default), hex, base64, text\n"
        "  --type=b|x|t|d|s         of a value to write, where its form does not say\n"
        "  --all                    rotate: every device\n"
        "  --compromised            rotate: the present key is known to others\n"
        "  --force                  take a weak key, forget or replace a key that may be in use, export to a terminal\n"
        "  --keyfile=FILE           vault: the keyfile (" KEYFILE_DIR "/" KEYFILE_CURRENT ")\n"
        "  --state-dir=DIR          vault reset: where the vault is (" STATE_DIR ")\n"
        "  --format=FORMAT          provision: of the list: csv (default), mosquitto, emqx, hono, golioth\n"
        "  --template=FILE          provision: what a row's settings do not say, as in a device file\n"
        "  --registered             provision: the cloud has these keys already\n"
        "  --skip-existing          provision: pass over devices that have a key\n"
        "  --count=N --prefix=P     provision: devices P1 to PN\n"
        "  --uplink=UPLINK          export: only its devices\n"
        "  --keep                   device remove: leave its credentials\n"
        "  --yes                    do not ask\n"
        "  -h, --help   --version\n\n"
        "exit status: 0 ok, 1 failed, 2 usage, 3 not running, 4 no such device, 5 denied, 6 partial, 78 configuration\n",
        to);
}

enum {
    OPTION_JSON = 256,
    OPTION_NO_PAGER,
    OPTION_NO_LEGEND,
    OPTION_VERSION,
    OPTION_ENCODING,
    OPTION_TYPE,
    OPTION_ALL,
    OPTION_COMPROMISED,
    OPTION_FORCE,
    OPTION_KEEP,
    OPTION_KEYFILE,
    OPTION_STATE_DIR,
    OPTION_FOR_IMAGE,
    OPTION_YES,
    OPTION_FORMAT,
    OPTION_TEMPLATE,
    OPTION_REGISTERED,
    OPTION_SKIP,
    OPTION_COUNT,
    OPTION_PREFIX,
    OPTION_UPLINK
};

static int parse_output(struct ctl *c, const char *text)
{
    static const char *const names[] = {"off", "short", "pretty"};

    for (size_t i = 0; i < ELEMENTSOF(names); i++)
        if (strcmp(names[i], text) == 0) {
            c->output = (enum output)i;
            return 0;
        }
    fprintf(stderr, "gatehousectl: --json takes pretty, short or off, not '%s'\n", text);
    return -1;
}

/* Of provision and export. */
static int parse_list_option(struct ctl *c, int option)
{
    switch (option) {
    case OPTION_FORMAT:
        c->format = optarg;
        return 0;
    case OPTION_TEMPLATE:
        c->template = optarg;
        return 0;
    case OPTION_REGISTERED:
        c->registered = true;
        return 0;
    case OPTION_SKIP:
        c->skip = true;
        return 0;
    case OPTION_COUNT:
        c->count = optarg;
        return 0;
    case OPTION_PREFIX:
        c->prefix = optarg;
        return 0;
    case OPTION_UPLINK:
        c->uplink = optarg;
        return 0;
    default: /* getopt's own '?' */
        return -1;
    }
}

/* 0, 1 when all was said (--help), -1 on a mistake. */
static int parse_option(struct ctl *c, int option)
{
    switch (option) {
    case 'h':
        usage(stdout);
        return 1;
    case OPTION_VERSION:
        puts("gatehousectl " GATEHOUSE_VERSION);
        return 1;
    case 'q':
        c->quiet = true;
        return 0;
    case 'H':
        c->host = optarg;
        return 0;
    case OPTION_JSON:
        return parse_output(c, optarg);
    case OPTION_NO_PAGER:
        c->pager = false;
        return 0;
    case OPTION_NO_LEGEND:
        c->legend = false;
        return 0;
    case OPTION_ENCODING:
        c->encoding = optarg;
        return 0;
    case OPTION_TYPE:
        c->type = optarg;
        return 0;
    case OPTION_ALL:
        c->all = true;
        return 0;
    case OPTION_COMPROMISED:
        c->compromised = true;
        return 0;
    case OPTION_FORCE:
        c->force = true;
        return 0;
    case OPTION_KEEP:
        c->keep = true;
        return 0;
    case OPTION_KEYFILE:
        c->keyfile = optarg;
        return 0;
    case OPTION_STATE_DIR:
        c->state_dir = optarg;
        return 0;
    case OPTION_FOR_IMAGE:
        c->for_image = true;
        return 0;
    case OPTION_YES:
        c->yes = true;
        return 0;
    default:
        return parse_list_option(c, option);
    }
}

static int parse_options(struct ctl *c, int argc, char **argv)
{
    static const struct option options[] = {
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, OPTION_VERSION},
        {"quiet", no_argument, NULL, 'q'},
        {"host", required_argument, NULL, 'H'},
        {"json", required_argument, NULL, OPTION_JSON},
        {"no-pager", no_argument, NULL, OPTION_NO_PAGER},
        {"no-legend", no_argument, NULL, OPTION_NO_LEGEND},
        {"encoding", required_argument, NULL, OPTION_ENCODING},
        {"type", required_argument, NULL, OPTION_TYPE},
        {"all", no_argument, NULL, OPTION_ALL},
        {"compromised", no_argument, NULL, OPTION_COMPROMISED},
        {"force", no_argument, NULL, OPTION_FORCE},
        {"keep", no_argument, NULL, OPTION_KEEP},
        {"keyfile", required_argument, NULL, OPTION_KEYFILE},
        {"state-dir", required_argument, NULL, OPTION_STATE_DIR},
        {"for-image", no_argument, NULL, OPTION_FOR_IMAGE},
        {"yes", no_argument, NULL, OPTION_YES},
        {"format", required_argument, NULL, OPTION_FORMAT},
        {"template", required_argument, NULL, OPTION_TEMPLATE},
        {"registered", no_argument, NULL, OPTION_REGISTERED},
        {"skip-existing", no_argument, NULL, OPTION_SKIP},
        {"count", required_argument, NULL, OPTION_COUNT},
        {"prefix", required_argument, NULL, OPTION_PREFIX},
        {"uplink", required_argument, NULL, OPTION_UPLINK},
        {0},
    };
    int option, r = 0;

    while (r == 0 && (option = getopt_long(argc, argv, "hqH:", options, NULL)) != -1)
        r = parse_option(c, option);
    return r;
}

/* Every form of a verb. */
static int verb_usage(const char *name)
{
    const char *begin = "usage:";

    for (size_t i = 0; i < ELEMENTSOF(verbs); i++)
        if (strcmp(verbs[i].name, name) == 0) {
            fprintf(stderr, "gatehousectl: %-6s gatehousectl %s %s\n", begin, name, verbs[i].arguments);
            begin = "or";
        }
    return EXIT_USAGE;
}

static int run_verb(struct ctl *c, int argc, char **argv)
{
    static char status[] = "status", *default_verb[] = {status, NULL};

    if (argc == 0) {
        argc = 1;
        argv = default_verb;
    }
    for (size_t i = 0; i < ELEMENTSOF(verbs); i++) {
        if (strcmp(verbs[i].name, argv[0]) != 0)
            continue;
        if (argc - 1 < verbs[i].min || argc - 1 > verbs[i].max)
            return verb_usage(argv[0]);
        return verbs[i].run(c, argc, argv);
    }
    fprintf(stderr, "gatehousectl: there is no verb '%s'; see gatehousectl --help\n", argv[0]);
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    struct ctl c = {.legend = true, .pager = true};
    struct error e = {0};
    int r = startup_clean(argv, &e);

    if (r < 0) {
        fprintf(stderr, "gatehousectl: %s\n", e.text);
        return EXIT_FAILURE;
    }
    /* Keys pass through some verbs. */
    prctl(PR_SET_DUMPABLE, 0);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0});
    setlocale(LC_ALL, "");
    setlocale(LC_NUMERIC, "C"); /* numbers are typed and printed as they stand in configuration and JSON */
    log_init("gatehousectl", LOG_INFO);
    r = parse_options(&c, argc, argv);
    if (r != 0)
        return r > 0 ? EXIT_SUCCESS : EXIT_USAGE;
    r = run_verb(&c, argc - optind, argv + optind);
    print_pager_end();
    sd_bus_flush_close_unref(c.bus);
    if (fflush(stdout) != 0 && r == 0) {
        fprintf(stderr, "gatehousectl: cannot write to standard output: %m\n");
        r = EXIT_FAILURE;
    }
    return r;
}
