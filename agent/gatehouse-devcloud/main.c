/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* gatehouse-devcloud: a development cloud on loopback, for demonstrations, prototypes and tests. */
#include "control.h"
#include "events.h"
#include "server.h"

#include "base/log.h"
#include "base/names.h"
#include "base/options.h"

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
    bool https; /* a port was given */
    const char *https_cert;
    const char *https_key;
    const char *https_ca;
    struct https_options management;
};

static void usage(FILE *f)
{
    fputs("usage: gatehouse-devcloud --psk-file FILE [OPTION...]\n"
          "\n"
          "A development cloud: DTLS-PSK CoAP on loopback, several credentials per device, keys registered by the\n"
          "devices themselves; shows samples as they arrive, and misbehaves on demand. Not for production keys.\n"
          "\n"
          "  --psk-file FILE   lines identity:hexkey or identity:hexkey:device; read again on SIGHUP\n"
          "  --listen ADDRESS  numeric, default 127.0.0.1\n"
          "  --port N          default 5684; 0: any, printed\n"
          "  --adds            a registered key is added to the device's others (default)\n"
          "  --replaces        a registered key displaces the old one under the device's one identity\n"
          "  --state FILE      keep what was registered, for a restart (0600; it holds the keys)\n"
          "  --control PATH    a unix socket taking faults and questions, a JSON object a line\n"
          "  --https-port N    Golioth's and Hono's management calls over TLS; 0: any, printed\n"
          "  --https-cert FILE, --https-key FILE\n"
          "                    certificate chain and key; or\n"
          "  --https-ca FILE   make a certificate for localhost, and write here the authority to trust\n"
          "  --api-key-file FILE\n"
          "                    one line: the x-api-key that Golioth calls need; of Hono calls the bearer token, or\n"
          "                    user:password\n"
          "  --golioth-project NAME, --hono-tenant NAME\n"
          "                    whose calls are answered\n"
          "  --record FILE     every management call with its body, keys and all, a JSON object a line (0600)\n"
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

enum { HTTPS_PORT = 0x100, HTTPS_CERT, HTTPS_KEY, HTTPS_CA, API_KEY_FILE, GOLIOTH_PROJECT, HONO_TENANT, RECORD };

static int bad_port(const char *option, const char *text)
{
    fprintf(stderr, "gatehouse-devcloud: %s %s: expected 0 to 65535\n", option, text);
    return -EINVAL;
}

/* An option of the management calls. */
static int parse_management(struct options *o, int c)
{
    if (c == HTTPS_PORT) {
        o->https = true;
        return parse_port(optarg, &o->management.port) < 0 ? bad_port("--https-port", optarg) : 0;
    }
    if (c == HTTPS_CERT)
        o->https_cert = optarg;
    else if (c == HTTPS_KEY)
        o->https_key = optarg;
    else if (c == HTTPS_CA)
        o->https_ca = optarg;
    else if (c == API_KEY_FILE)
        o->management.key_file = optarg;
    else if (c == GOLIOTH_PROJECT)
        o->management.api.project = optarg;
    else if (c == HONO_TENANT)
        o->management.api.tenant = optarg;
    else if (c == RECORD)
        o->management.record = optarg;
    return 0;
}

static int check_options(const struct options *o)
{
    bool files = o->https_cert && o->https_key;
    const char *wrong = NULL;

    if (!o->psk_file && !o->state)
        wrong = "--psk-file or --state is needed";
    else if (o->https && (files ? o->https_ca != NULL : o->https_cert || o->https_key || !o->https_ca))
        wrong = "--https-port needs --https-cert and --https-key, or --https-ca";
    else if (o->https && !o->management.api.project && !o->management.api.tenant)
        wrong = "--https-port needs --golioth-project, --hono-tenant or both";
    if (wrong)
        fprintf(stderr, "gatehouse-devcloud: %s\n", wrong);
    return wrong ? -EINVAL : 0;
}

/* 1: done already; negative: wrong usage, told. */
static int parse_one(struct options *o, int c)
{
    if (c == 'f')
        o->psk_file = optarg;
    else if (c == 'l')
        o->listen = optarg;
    else if (c == 'p')
        return parse_port(optarg, &o->port) < 0 ? bad_port("--port", optarg) : 0;
    else if (c == 'a' || c == 'r')
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
    else
        return c == '?' ? -EINVAL : parse_management(o, c);
    return 0;
}

static int parse(int argc, char **argv, struct options *o)
{
    static const struct option known[] = {
        {"psk-file", required_argument, NULL, 'f'},
        {"listen", required_argument, NULL, 'l'},
        {"port", required_argument, NULL, 'p'},
        {"adds", no_argument, NULL, 'a'},
        {"replaces", no_argument, NULL, 'r'},
        {"state", required_argument, NULL, 's'},
        {"control", required_argument, NULL, 'c'},
        {"json", no_argument, NULL, 'j'},
        {"verbose", no_argument, NULL, 'v'},
        {"version", no_argument, NULL, 'V'},
        {"help", no_argument, NULL, 'h'},
        {"https-port", required_argument, NULL, HTTPS_PORT},
        {"https-cert", required_argument, NULL, HTTPS_CERT},
        {"https-key", required_argument, NULL, HTTPS_KEY},
        {"https-ca", required_argument, NULL, HTTPS_CA},
        {"api-key-file", required_argument, NULL, API_KEY_FILE},
        {"golioth-project", required_argument, NULL, GOLIOTH_PROJECT},
        {"hono-tenant", required_argument, NULL, HONO_TENANT},
        {"record", required_argument, NULL, RECORD},
        {},
    };
    int c, r = 0;

    while (r == 0 && (c = options_next(argc, argv, "h", known)) >= 0)
        r = parse_one(o, c);
    if (r != 0)
        return r;
    if (optind < argc) {
        usage(stderr);
        return -EINVAL;
    }
    return check_options(o);
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
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

static int timeout(const struct cloud *cloud)
{
    int a = server_timeout(cloud->server), b = cloud->https ? https_timeout(cloud->https) : -1;

    return a < 0 ? b : b < 0 ? a : MIN_OF(a, b);
}

/* SIGHUP: reads the PSK file again. Whether to go on; SIGTERM and SIGINT end it. */
static bool take_signal(const struct cloud *cloud, int signal_fd, const char *psk_file)
{
    struct signalfd_siginfo info;
    struct error e = {};

    if (read(signal_fd, &info, sizeof(info)) != sizeof(info))
        return true;
    if (info.ssi_signo != SIGHUP)
        return false;
    if (!psk_file)
        log_warning(NULL, "SIGHUP: there is no --psk-file to read again");
    else if (store_read_psk_file(server_store(cloud->server), psk_file, &e) < 0)
        log_error(NULL, "%s; keeping the credentials as they are", e.text);
    else
        log_info(NULL, "%s: read again", psk_file);
    return true;
}

/* Until SIGTERM or SIGINT. */
static int loop(const struct cloud *cloud, struct control *c, int signal_fd, const char *psk_file)
{
    struct pollfd fds[4 + CONTROL_CLIENTS_MAX];

    for (;;) {
        size_t n = 3;
        int r;

        events_flush();
        fds[0] = (struct pollfd){.fd = signal_fd, .events = POLLIN};
        fds[1] = (struct pollfd){.fd = server_fd(cloud->server), .events = POLLIN};
        fds[2] = (struct pollfd){.fd = cloud->https ? https_fd(cloud->https) : -1, .events = POLLIN};
        if (c)
            n += control_poll(c, &fds[3]);
        r = poll(fds, n, timeout(cloud));
        if (r < 0 && errno != EINTR)
            return -errno;
        if (r > 0 && fds[0].revents && !take_signal(cloud, signal_fd, psk_file))
            return 0;
        server_process(cloud->server);
        if (cloud->https)
            https_process(cloud->https);
        events_flush(); /* whoever asks on the control socket has then seen what came before */
        if (r > 0 && c)
            control_process(c, &fds[3], n - 3);
    }
}

static int start_https(const struct options *o, struct server *s, struct https **ret, struct error *e)
{
    struct https_options management = o->management;
    int r = o->https_cert ? certificate_read(o->https_cert, o->https_key, &management.certificate, e)
                          : certificate_make(o->https_ca, &management.certificate, e);

    management.address = o->listen;
    if (r >= 0)
        r = https_new(server_store(s), server_faults(s), &management, ret, e);
    certificate_done(&management.certificate);
    return r;
}

static int run(const struct options *o, struct error *e)
{
    _cleanup_(store_freep) struct store *store = NULL;
    _cleanup_(server_freep) struct server *server = NULL;
    _cleanup_(https_freep) struct https *https = NULL;
    _cleanup_(control_freep) struct control *control = NULL;
    _cleanup_close_ int signal_fd = signals();
    struct cloud cloud = {};
    int r;

    if (signal_fd < 0)
        return error_errno(e, signal_fd, "cannot wait for signals");
    r = open_store(o, &store, e);
    if (r >= 0)
        r = server_new(store, o->listen, o->port, &server, e);
    if (r >= 0 && o->https)
        r = start_https(o, server, &https, e);
    cloud = (struct cloud){.server = server, .https = https};
    if (r >= 0 && o->control)
        r = control_new(o->control, &cloud, &control, e);
    if (r < 0)
        return r;
    event_listening(o->listen, server_port(server), https ? https_port(https) : 0);
    return loop(&cloud, control, signal_fd, o->psk_file);
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
