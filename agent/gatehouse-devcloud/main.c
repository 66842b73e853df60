/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* gatehouse-devcloud: a development cloud on loopback, for demonstrations, prototypes and tests. */
#include "control.h"
#include "events.h"
#include "server.h"

#include "base/log.h"
#include "base/names.h"

#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>

struct options {
    const char *psk_file;
    const char *state;
    const char *control;
    const char *listen;
    unsigned port;
    bool replaces;
    bool json;
};

static void usage(FILE *f)
{
    fputs("usage: gatehouse-devcloud --psk-file FILE [OPTION...]\n"
          "\n"
          "A development cloud: DTLS-PSK CoAP on loopback, several credentials per device, keys registered by the\n"
          "devices themselves; shows samples as they arrive, and misbehaves on demand. Not for production keys.\n"
          "\n"
          "  --psk-file FILE   lines identity:hexkey or identity:hexkey:device\n"
          "  --listen ADDRESS  numeric, default 127.0.0.1\n"
          "  --port N          default 5684; 0: any, printed\n"
          "  --adds            a registered key is added to the device's others (default)\n"
          "  --replaces        a registered key displaces the old one under the device's one identity\n"
          "  --state FILE      keep what was registered, for a restart (0600; it holds the keys)\n"
          "  --control PATH    a unix socket taking faults and questions, a JSON object a line\n"
          "  --json            print events as JSON, an object a line\n"
          "  --verbose         every request on standard error\n"
          "  --version, --help\n",
          f);
}

static int parse_port(const char *text, unsigned *ret)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);

    if (!*text || *end || n > 65535)
        return -EINVAL;
    *ret = (unsigned)n;
    return 0;
}

/* 1: done already; negative: wrong usage, told. */
static int parse(int argc, char **argv, struct options *o)
{
    static const struct option known[] = {
        {"psk-file", required_argument, NULL, 'f'}, {"listen", required_argument, NULL, 'l'},
        {"port", required_argument, NULL, 'p'},     {"adds", no_argument, NULL, 'a'},
        {"replaces", no_argument, NULL, 'r'},       {"state", required_argument, NULL, 's'},
        {"control", required_argument, NULL, 'c'},  {"json", no_argument, NULL, 'j'},
        {"verbose", no_argument, NULL, 'v'},        {"version", no_argument, NULL, 'V'},
        {"help", no_argument, NULL, 'h'},           {},
    };
    int c;

    while ((c = getopt_long(argc, argv, "h", known, NULL)) >= 0) {
        if (c == 'f')
            o->psk_file = optarg;
        else if (c == 'l')
            o->listen = optarg;
        else if (c == 'p' && parse_port(optarg, &o->port) < 0) {
            fprintf(stderr, "gatehouse-devcloud: --port %s: expected 0 to 65535\n", optarg);
            return -EINVAL;
        } else if (c == 'a' || c == 'r')
            o->replaces = c == 'r';
        else if (c == 's')
            o->state = optarg;
        else if (c == 'c')
            o->control = optarg;
        else if (c == 'j')
            o->json = true;
        else if (c == 'v')
            log_set_level(LOG_DEBUG);
        else if (c == 'V')
            return puts("gatehouse-devcloud " GATEHOUSE_VERSION) < 0 ? -EIO : 1;
        else if (c == 'h')
            return usage(stdout), 1;
        else if (c == '?')
            return -EINVAL;
    }
    if (optind < argc || (!o->psk_file && !o->state)) {
        usage(stderr);
        return -EINVAL;
    }
    return 0;
}

static int open_store(const struct options *o, struct store **ret, struct error *e)
{
    _cleanup_(store_freep) struct store *s = NULL;
    int r = store_new(o->replaces, &s);

    if (r >= 0 && o->state)
        r = store_open_state(s, o->state, e);
    if (r >= 0 && o->psk_file)
        r = store_read_psk_file(s, o->psk_file, e);
    if (r >= 0)
        *ret = TAKE_PTR(s);
    return r;
}

static int signals(void)
{
    sigset_t set;
    int fd;

    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

/* Until SIGTERM or SIGINT. */
static int loop(struct server *s, struct control *c, int signal_fd)
{
    struct pollfd fds[3 + CONTROL_CLIENTS_MAX];

    for (;;) {
        size_t n = 2;
        int r;

        events_flush();
        fds[0] = (struct pollfd){.fd = signal_fd, .events = POLLIN};
        fds[1] = (struct pollfd){.fd = server_fd(s), .events = POLLIN};
        if (c)
            n += control_poll(c, &fds[2]);
        r = poll(fds, n, server_timeout(s));
        if (r < 0 && errno != EINTR)
            return -errno;
        if (r > 0 && fds[0].revents)
            return 0;
        server_process(s);
        events_flush(); /* whoever asks on the control socket has then seen what came before */
        if (r > 0 && c)
            control_process(c, &fds[2], n - 2);
    }
}

static int run(const struct options *o, struct error *e)
{
    _cleanup_(store_freep) struct store *store = NULL;
    _cleanup_(server_freep) struct server *server = NULL;
    _cleanup_(control_freep) struct control *control = NULL;
    _cleanup_close_ int signal_fd = signals();
    int r;

    if (signal_fd < 0)
        return error_errno(e, signal_fd, "cannot wait for signals");
    r = open_store(o, &store, e);
    if (r >= 0)
        r = server_new(store, o->listen, o->port, &server, e);
    if (r >= 0 && o->control)
        r = control_new(o->control, server, &control, e);
    if (r >= 0)
        r = loop(server, control, signal_fd);
    return r;
}

int main(int argc, char **argv)
{
    struct options options = {.listen = "127.0.0.1", .port = 5684};
    struct error e = {};
    int r;

    log_init("gatehouse-devcloud", LOG_INFO);
    r = parse(argc, argv, &options);
    if (r != 0)
        return r < 0 ? EXIT_USAGE : EXIT_SUCCESS;
    events_init(options.json);
    r = run(&options, &e);
    events_flush();
    if (r < 0) {
        log_error(NULL, "%s", e.text[0] ? e.text : strerror(-r));
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
