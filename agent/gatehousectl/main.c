/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tty-agent.h"
#include "verbs.h"

#include "base/log.h"
#include "base/startup.h"

#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

/* --help behind a verb, or behind the first word of several. */
static int show_help(struct ctl *c, const struct parsed *parsed)
{
    if (c->output != OUTPUT_TEXT)
        return verb_help(c, 0, NULL);
    if (parsed->verb)
        help_verb(c, parsed->verb);
    else if (parsed->argc > 0)
        help_forms(parsed->argv[0], stdout);
    else
        help_all(c);
    return 0;
}

static int run(struct ctl *c, const struct parsed *parsed)
{
    if (c->version) {
        ctl_result_text(c, "version", GATEHOUSE_VERSION);
        if (c->output == OUTPUT_TEXT)
            puts("gatehousectl " GATEHOUSE_VERSION);
        return 0;
    }
    return c->help ? show_help(c, parsed) : parsed->verb->run(c, parsed->argc, parsed->argv);
}

/* The verb whose result is printed: --help behind another is help. */
static const char *answering(const struct ctl *c, const struct parsed *parsed)
{
    if (c->version)
        return "";
    return c->help ? "help" : parsed->verb ? parsed->verb->name : "";
}

int main(int argc, char **argv)
{
    struct ctl c = {.output = OUTPUT_TEXT};
    struct parsed parsed;
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
    style_of_terminal(STDOUT_FILENO, &c.out);
    setlocale(LC_NUMERIC, "C"); /* numbers are typed and printed as they stand in configuration and JSON */
    log_init("gatehousectl", LOG_INFO);
    if (argc > 1 && strcmp(argv[1], COMPLETE_WORD) == 0) {
        r = complete(&c, argc - 2, argv + 2);
        sd_bus_flush_close_unref(c.bus);
        json_object_put(c.result);
        return r;
    }
    r = options_parse(&c, argc, argv, &parsed);
    if (r == 0)
        r = run(&c, &parsed);
    print_envelope(&c, answering(&c, &parsed), r);
    print_pager_end();
    tty_agent_close();
    sd_bus_flush_close_unref(c.bus);
    json_object_put(c.result);
    free(parsed.argv);
    if (fflush(stdout) != 0 && r == 0) {
        fprintf(stderr, "gatehousectl: cannot write to standard output: %m\n");
        r = EXIT_FAILURE;
    }
    return r;
}
