/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* gatehouse-registrar NAME: tells a cloud of one credential, as the agent asks it to over a socket. */
#include "base/clock.h"
#include "base/error.h"
#include "base/id.h"
#include "base/log.h"
#include "base/names.h"
#include "base/options.h"
#include "base/startup.h"
#include "serve.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>

struct options {
    const char *name, *type, *listen;
    struct serve_options serve;
    int level;
};

static volatile sig_atomic_t stopped;

static void usage(FILE *to)
{
    fputs(
        "usage: gatehouse-registrar NAME [OPTION...]\n\n"
        "Tells a cloud of a credential: one request a connection. Started by a socket unit with Accept=yes, it serves\n"
        "the connection that it was given.\n\n"
        "  --type golioth|hono|exec  of its requests (default: NAME)\n"
        "  --url URL                 of the only cloud that the API key is shown to (default: as the request says)\n"
        "  --listen DIR              make DIR/NAME.sock and serve whoever connects, until SIGTERM\n"
        "  --api-key-file FILE       (default: the systemd credential " CREDENTIAL_API_KEY ")\n"
        "  --program-dir DIR         the programs that exec may run (" REGISTRAR_PROGRAM_DIR ")\n"
        "  --debug                   say more\n"
        "  -h, --help   --version\n",
        to);
}

/* -1: go on; otherwise the exit status. */
static int take_options(int argc, char **argv, struct options *o)
{
    static const struct option known[] = {
        {"type", required_argument, NULL, 't'},
        {"url", required_argument, NULL, 'u'},
        {"listen", required_argument, NULL, 'l'},
        {"api-key-file", required_argument, NULL, 'k'},
        {"program-dir", required_argument, NULL, 'p'},
        {"debug", no_argument, NULL, 'd'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},
        {NULL, 0, NULL, 0},
    };
    int c;

    while ((c = options_next(argc, argv, "h", known)) >= 0)
        switch (c) {
        case 't':
            o->type = optarg;
            break;
        case 'u':
            o->serve.url = optarg;
            break;
        case 'l':
            o->listen = optarg;
            break;
        case 'k':
            o->serve.api_key_file = optarg;
            break;
        case 'p':
            o->serve.program_dir = optarg;
            break;
        case 'd':
            o->level = LOG_DEBUG;
            break;
        case 'h':
            usage(stdout);
            return EXIT_SUCCESS;
        case 'v':
            puts("gatehouse-registrar " GATEHOUSE_VERSION);
            return EXIT_SUCCESS;
        default:
            return EXIT_USAGE;
        }
    return -1;
}

static int parse_options(int argc, char **argv, struct options *o)
{
    int r = take_options(argc, argv, o);

    if (r >= 0)
        return r;
    if (optind != argc - 1 || !id_valid(argv[optind])) {
        fputs("gatehouse-registrar: expected one name of " ID_RULE "; see --help\n", stderr);
        return EXIT_USAGE;
    }
    o->name = argv[optind];
    r = registrar_type_from_string(o->type ?: o->name);
    if (r < 0) {
        fprintf(stderr, "gatehouse-registrar: there is no type %s; expected golioth, hono or exec%s\n",
                o->type ?: o->name, o->type ? "" : ", by --type if the name is another");
        return EXIT_USAGE;
    }
    o->serve.type = (enum registrar_type)r;
    return -1;
}

/* ── Listening ── */

static void on_stop(int number)
{
    stopped = 1;
}

/* The path is ours if nobody answers there. */
static int bind_to(int fd, const char *path, struct error *e)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    mode_t mask;
    int r;

    if (strlen(path) >= sizeof(address.sun_path))
        return error_set(e, -ENAMETOOLONG, "%s: a socket's path has at most %zu characters", path,
                         sizeof(address.sun_path) - 1);
    memcpy(address.sun_path, path, strlen(path));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return error_set(e, -EADDRINUSE, "another registrar listens at %s", path);
    if (errno == ECONNREFUSED)
        unlink(path);
    mask = umask(0117);
    r = bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, SOMAXCONN) < 0 ? -errno : 0;
    umask(mask);
    return r < 0 ? error_errno(e, r, "cannot listen at %s", path) : 0;
}

static int serve_in_child(int listener, const struct options *o)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    pid_t pid = fd < 0 ? -1 : fork();

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGTERM, SIG_DFL);
        signal(SIGINT, SIG_DFL);
        close(listener);
        _exit(serve(fd, &o->serve) < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
    }
    safe_close(fd);
    return pid > 0 ? 1 : 0;
}

/* A child a connection, so that nothing of a key outlives its request. */
static void attend(int listener, const struct options *o)
{
    unsigned children = 0;

    while (!stopped) {
        struct pollfd p = {children < REGISTRAR_CHILDREN_MAX ? listener : -1, POLLIN, 0};

        if (poll(&p, 1, 100) > 0)
            children += (unsigned)serve_in_child(listener, o);
        while (children > 0 && waitpid(-1, NULL, WNOHANG) > 0)
            children--;
    }
}

static int listen_at(const struct options *o)
{
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    _cleanup_free_ char *path = NULL;
    struct error e = {0};
    int r = fd < 0 ? -errno : 0;

    if (r >= 0 && asprintf(&path, "%s/%s.sock", o->listen, o->name) < 0)
        r = -ENOMEM;
    if (r >= 0)
        r = bind_to(fd, path, &e);
    if (r < 0) {
        log_error(NULL, "%s", e.text[0] ? e.text : strerrordesc_np(-r));
        return EXIT_FAILURE;
    }
    sigaction(SIGTERM, &(struct sigaction){.sa_handler = on_stop}, NULL);
    sigaction(SIGINT, &(struct sigaction){.sa_handler = on_stop}, NULL);
    log_info(NULL, "listening at %s", path);
    attend(fd, o);
    unlink(path);
    return EXIT_SUCCESS;
}

/* The connection that systemd hands over: as a passed descriptor, or as standard input. -1: none. */
static int given_connection(void)
{
    if (sd_listen_fds(1) == 1 && sd_is_socket(SD_LISTEN_FDS_START, AF_UNIX, SOCK_STREAM, 0) > 0)
        return SD_LISTEN_FDS_START;
    return sd_is_socket(STDIN_FILENO, AF_UNIX, SOCK_STREAM, 0) > 0 ? STDIN_FILENO : -1;
}

int main(int argc, char **argv)
{
    struct options o = {.serve.program_dir = REGISTRAR_PROGRAM_DIR, .level = LOG_INFO};
    char program[sizeof("gatehouse-registrar ") + DEVICE_ID_MAX];
    struct error e = {0};
    int r = startup_clean(argv, &e), fd;

    if (r < 0) {
        fprintf(stderr, "gatehouse-registrar: %s\n", e.text);
        return EXIT_FAILURE;
    }
    r = parse_options(argc, argv, &o);
    if (r >= 0)
        return r;
    snprintf(program, sizeof(program), "gatehouse-registrar %s", o.name);
    log_init(program, o.level);
    /* Keys stand in ordinary memory here, for as long as one request takes. */
    prctl(PR_SET_DUMPABLE, 0);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0});
    signal(SIGPIPE, SIG_IGN);
    if (o.listen)
        return listen_at(&o);
    fd = given_connection();
    if (fd < 0) {
        fputs("gatehouse-registrar: started without a connection; a socket unit gives one, or use --listen DIR\n",
              stderr);
        return EXIT_USAGE;
    }
    return serve(fd, &o.serve) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
