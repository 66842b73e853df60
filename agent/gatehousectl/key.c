/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* key: credentials. Key bytes pass through this process only between two descriptors, and are wiped behind. */
#include "ctl.h"

#include "base/durable.h"
#include "base/encode.h"
#include "base/limits.h"
#include "base/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct key_text {
    char bytes[KEY_DESCRIPTOR_MAX + 1];
    size_t size;
    bool login; /* it is one, and no key */
};

static void say_too_long(const struct key_text *key)
{
    if (key->login)
        print_error("the login is too long: a user name and a password have at most %d bytes together",
                    DEVICE_LOGIN_MAX - 1);
    else
        print_error("the key is over %d bytes", KEY_DESCRIPTOR_MAX);
}

/* To the end of what the descriptor gives, or, at a terminal, of the line. */
static int read_bytes(int fd, bool line, struct key_text *key)
{
    for (;;) {
        ssize_t n = read(fd, key->bytes + key->size, sizeof(key->bytes) - key->size);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            print_error("cannot read the %s: %m", key->login ? "login" : "key");
            return EXIT_FAILURE;
        }
        key->size += (size_t)n;
        if (n == 0 || (line && key->bytes[key->size - 1] == '\n'))
            return 0;
        if (key->size > KEY_DESCRIPTOR_MAX) {
            say_too_long(key);
            return EXIT_FAILURE;
        }
    }
}

/* A key that is typed is not shown; the end of its line is no part of it. */
static int ask_key(int fd, struct key_text *key)
{
    struct error e;
    int r;

    if (terminal_hide(fd, "Key (not shown), then Enter: ", &e) < 0) {
        print_error("%s; name a file, or pipe the key in", e.text);
        return EXIT_FAILURE;
    }
    r = read_bytes(fd, true, key);
    terminal_show();
    if (key->size > 0 && key->bytes[key->size - 1] == '\n')
        key->size--;
    return r;
}

/* Two lines, neither of them shown: to some clouds the user name is the secret. */
static int ask_login(int fd, struct key_text *key)
{
    struct error e;
    int r;

    if (terminal_hide(fd, "User name or access token (not shown), then Enter: ", &e) < 0) {
        print_error("%s; name a file, or pipe the login in", e.text);
        return EXIT_FAILURE;
    }
    r = read_bytes(fd, true, key);
    if (r == 0) {
        fputs("\nPassword (not shown; if there is none, Enter alone), then Enter: ", stderr);
        r = read_bytes(fd, true, key);
    }
    terminal_show();
    return r;
}

static int read_key(const char *file, int (*ask_for)(int fd, struct key_text *key), struct key_text *key)
{
    _cleanup_close_ int opened = -EBADF;
    int fd = STDIN_FILENO;

    if (file && strcmp(file, "-") != 0)
        fd = opened = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        print_error("cannot open %s: %m", file);
        return EXIT_FAILURE;
    }
    return isatty(fd) ? ask_for(fd, key) : read_bytes(fd, false, key);
}

/* A key confused with its own hex or base64 text is the most common reason for a silent refusal by the cloud. */
static void warn_of_text(struct ctl *c, const struct key_text *key)
{
    size_t n = key->size;

    if (n > 0 && key->bytes[n - 1] == '\n')
        n--;
    if (c->encoding || n < 32)
        return;
    if (strspn(key->bytes, "0123456789abcdefABCDEF") >= n)
        print_warning("this looks like hex, but is taken as raw bytes; --encoding=hex if it is meant so");
    else if (n != key->size)
        print_warning("the newline at the end is taken as part of the key; --encoding=text drops it");
}

/* How long the key is that this text stands for: a length that surprises is the first sign of a wrong encoding. */
static size_t key_length(const struct key_text *key, const char *encoding)
{
    size_t n = key->size;

    if (strcmp(encoding, "raw") == 0)
        return n;
    if (n > 0 && key->bytes[n - 1] == '\n')
        n--;
    if (strcmp(encoding, "hex") == 0)
        return n / 2;
    if (strcmp(encoding, "base64") != 0)
        return n;
    while (n > 0 && key->bytes[n - 1] == '=')
        n--;
    return n * 3 / 4;
}

static int hand_over(const void *bytes, size_t n, const char *what)
{
    _cleanup_close_ int fd = memfd_create("key", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0 || write_all(fd, bytes, n) < 0 || lseek(fd, 0, SEEK_SET) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0) {
        print_error("cannot hand the %s over: %m", what);
        return -EBADF;
    }
    return TAKE_FD(fd);
}

int key_memfd(const void *bytes, size_t n)
{
    return hand_over(bytes, n, "key");
}

static bool is_empty(json_object *properties, const char *name)
{
    return !(json_get_string(properties, name) ?: "")[0];
}

/* Backup beside a main that may be in use; --force puts a key in the place of a damaged main, or of
 * a refused one that it corrects. */
static const char *slot_to_set(const struct ctl *c, json_object *properties, const char *identity)
{
    const char *main = json_get_string(properties, "MainIdentity") ?: "";
    const char *state = json_get_string(properties, "State") ?: "";
    bool refused = strcmp(state, "refused") == 0, damaged = strcmp(state, "damaged") == 0;
    bool corrects = strcmp(main, identity) == 0 || is_empty(properties, "BackupIdentity");

    return !main[0] || (c->force && (damaged || (refused && corrects))) ? "main" : "backup";
}

int key_take(struct ctl *c, const char *file, const char *encoding, int *ret_fd, size_t *ret_length)
{
    struct key_text key = {.size = 0};
    int r = read_key(file, ask_key, &key);

    if (r == 0) {
        if (strcmp(encoding, "raw") == 0)
            warn_of_text(c, &key);
        *ret_length = key_length(&key, c->encoding ?: encoding);
        *ret_fd = key_memfd(key.bytes, key.size);
        r = *ret_fd < 0 ? EXIT_FAILURE : 0;
    }
    explicit_bzero(key.bytes, sizeof(key.bytes));
    return r;
}

int key_take_login(const char *file, int *ret_fd)
{
    struct key_text key = {.login = true};
    int r = read_key(file, ask_login, &key);

    if (r == 0) {
        *ret_fd = hand_over(key.bytes, key.size, "login");
        r = *ret_fd < 0 ? EXIT_FAILURE : 0;
    }
    explicit_bzero(key.bytes, sizeof(key.bytes));
    return r;
}

static void say_set(struct ctl *c, const char *id, const char *slot, const char *fingerprint, size_t length)
{
    const char *encoding = c->encoding ?: "raw";

    ctl_result_text(c, "device", id);
    ctl_result_text(c, "slot", slot);
    ctl_result_text(c, "fingerprint", fingerprint);
    ctl_result_text(c, "encoding", encoding);
    json_object_object_add(ctl_result(c), "bytes", json_object_new_int64((int64_t)length));
    print_say(c, "%s: %s key set, fingerprint %s, %zu bytes, read as %s%s", id, slot, fingerprint, length, encoding,
              slot[0] == 'm' ? "" : "; it becomes main once the cloud accepts it");
}

/* Nothing of theirs is dangerous, so that who says it means something else. */
static bool force_refused(const struct ctl *c, const char *verb)
{
    if (!c->force || (!key_is_bind(c) && !key_is_login(c)))
        return false;
    print_error("%s --kind=%s: --force is for the keys that a cloud knows", verb, c->kind);
    return true;
}

int verb_key_set(struct ctl *c, int argc, char **argv)
{
    _cleanup_json_ json_object *before = NULL, *after = NULL;
    _cleanup_close_ int fd = -EBADF;
    _cleanup_free_ char *path = NULL;
    const char *slot, *id = argv[0], *identity = argv[1];
    char property[32];
    size_t length = 0;
    int r;

    if (force_refused(c, "key set"))
        return EXIT_USAGE;
    if (key_is_bind(c))
        return key_bind_set(c, argc, argv);
    if (key_is_login(c))
        return key_login_set(c, argc, argv);
    if (argc < 2) {
        print_error(
            "key set: the identity is missing, by which the cloud knows the key; a sensor's own key is set with "
            "--kind=bind, a user name and a password with --kind=login");
        return EXIT_USAGE;
    }
    r = ctl_device(c, id, &path);
    if (r == 0)
        r = ctl_properties(c, path, BUS_INTERFACE_DEVICE, &before);
    if (r == 0)
        r = key_take(c, argc > 2 ? argv[2] : NULL, "raw", &fd, &length);
    if (r != 0)
        return r;
    slot = slot_to_set(c, before, identity);
    r = ctl_call(c, path, BUS_INTERFACE_DEVICE, "SetCredential", NULL, "ssha{sv}", slot, identity, fd, 2, "encoding",
                 "s", c->encoding ?: "raw", "force", "b", (int)c->force);
    if (r == 0)
        r = ctl_properties(c, path, BUS_INTERFACE_DEVICE, &after);
    if (r != 0)
        return r;
    snprintf(property, sizeof(property), "%sFingerprint", slot[0] == 'm' ? "Main" : "Backup");
    say_set(c, id, slot, json_get_string(after, property) ?: "", length);
    return 0;
}

bool key_output_fit(const struct ctl *c)
{
    if (isatty(STDOUT_FILENO))
        print_error("keys are not shown on a terminal; name a new file, or pipe them on");
    else if (c->output != OUTPUT_TEXT)
        print_error("--json and keys do not share standard output; name a new file");
    else
        return true;
    return false;
}

/* Standard output, or a new file of mode 0600. */
static int open_output(const struct ctl *c, const char *file)
{
    struct stat st;
    int fd;

    if (!file) {
        if (!key_output_fit(c))
            return -EBADF;
        if (fstat(STDOUT_FILENO, &st) == 0 && S_ISREG(st.st_mode) && st.st_mode & S_IROTH)
            print_warning("everybody can read the file that the key goes to");
        return fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    }
    fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        print_error("cannot make %s: %m", file);
    return fd;
}

/* The key's bytes in the encoding asked for. */
static int write_key(struct ctl *c, int out, const struct key_text *key)
{
    char text[2 * KEY_MAX + 2];
    size_t n = key->size;
    int r;

    if (c->encoding && strcmp(c->encoding, "hex") == 0)
        hex_encode(key->bytes, n, text);
    else if (c->encoding && strcmp(c->encoding, "base64") == 0)
        base64_encode(key->bytes, n, text);
    else
        memcpy(text, key->bytes, n);
    if (c->encoding && (c->encoding[0] == 'h' || c->encoding[0] == 'b')) {
        n = strlen(text);
        text[n++] = '\n';
    }
    r = write_all(out, text, n);
    explicit_bzero(text, sizeof(text));
    if (r < 0)
        print_error("cannot write the key: %s", strerror(-r));
    return r < 0 ? EXIT_FAILURE : 0;
}

static int fetch_key(struct ctl *c, const char *path, const char *slot, int out)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    struct key_text key = {.size = 0};
    ssize_t n;
    int r = ctl_call(c, path, BUS_INTERFACE_DEVICE, "ExportCredential", &reply, "s", slot), fd;

    if (r != 0)
        return r;
    if (sd_bus_message_read(reply, "h", &fd) < 0 || (n = pread(fd, key.bytes, KEY_MAX, 0)) <= 0) {
        print_error("cannot read the key from the agent: %m");
        return EXIT_FAILURE;
    }
    key.size = (size_t)n;
    r = write_key(c, out, &key);
    explicit_bzero(key.bytes, sizeof(key.bytes));
    return r;
}

/* The file is made first: a key that was handed out and then has no place to go would count as known. */
int verb_key_export(struct ctl *c, int argc, char **argv)
{
    const char *slot = argv[1], *name = argc > 2 && strcmp(argv[2], "-") != 0 ? argv[2] : NULL;
    _cleanup_close_ int out = -EBADF;
    _cleanup_free_ char *path = NULL;
    int r;

    if (c->encoding && strcmp(c->encoding, "raw") != 0 && strcmp(c->encoding, "hex") != 0 &&
        strcmp(c->encoding, "base64") != 0) {
        print_error("a key is exported as raw, hex or base64, not '%s'", c->encoding);
        return EXIT_USAGE;
    }
    r = ctl_device(c, argv[0], &path);
    if (r != 0)
        return r;
    out = open_output(c, name);
    if (out < 0)
        return EXIT_FAILURE;
    r = fetch_key(c, path, slot, out);
    if (r != 0 && name)
        unlink(name);
    if (r != 0)
        return r;
    ctl_result_text(c, "device", argv[0]);
    ctl_result_text(c, "slot", slot);
    if (name)
        ctl_result_text(c, "file", name);
    return 0;
}

static int forget_without_slot(struct ctl *c, int argc, const char *id)
{
    _cleanup_free_ char *path = NULL;
    int r;

    if (force_refused(c, "key forget"))
        return EXIT_USAGE;
    if (argc > 1) {
        print_error("key forget --kind=%s DEVICE: a %s has no slot; without --kind it is a key of the cloud", c->kind,
                    key_is_bind(c) ? "bind key" : "login");
        return EXIT_USAGE;
    }
    r = ctl_device(c, id, &path);
    if (r == 0)
        r = ctl_call(c, path, BUS_INTERFACE_DEVICE, "ForgetCredential", NULL, "sa{sv}", "main", 1, "kind", "s",
                     c->kind);
    if (r != 0)
        return r;
    ctl_result_text(c, "device", id);
    json_object_object_add(ctl_result(c), "forgotten", json_object_new_boolean(true));
    print_say(c, "%s: %s forgotten", id, key_is_bind(c) ? "bind key" : "login");
    return 0;
}

int verb_key_forget(struct ctl *c, int argc, char **argv)
{
    _cleanup_json_ json_object *after = NULL;
    _cleanup_free_ char *path = NULL;
    const char *id = argv[0], *slot = argc > 1 ? argv[1] : NULL;
    bool forgotten;
    int r;

    if (key_is_bind(c) || key_is_login(c))
        return forget_without_slot(c, argc, id);
    if (!slot) {
        print_error(
            "key forget: which one, main or backup? A sensor's own key is forgotten with --kind=bind, a login with "
            "--kind=login");
        return EXIT_USAGE;
    }
    r = ctl_device(c, id, &path);
    if (r == 0)
        r = ctl_call(c, path, BUS_INTERFACE_DEVICE, "ForgetCredential", NULL, "sa{sv}", slot, 1, "force", "b",
                     (int)c->force);
    if (r == 0)
        r = ctl_properties(c, path, BUS_INTERFACE_DEVICE, &after);
    if (r != 0)
        return r;
    forgotten = is_empty(after, slot[0] == 'm' ? "MainIdentity" : "BackupIdentity");
    ctl_result_text(c, "device", id);
    ctl_result_text(c, "slot", slot);
    json_object_object_add(ctl_result(c), "forgotten", json_object_new_boolean(forgotten));
    if (forgotten)
        print_say(c, "%s: %s key forgotten", id, slot);
    else
        print_say(c,
                  "%s: not yet: the backup key is forgotten once the cloud has accepted the main one again, and has "
                  "deleted this one where the agent can ask it to (`gatehousectl show %s`)",
                  id, id);
    return 0;
}

int verb_key_promote(struct ctl *c, int argc, char **argv)
{
    _cleanup_free_ char *path = NULL;
    const char *id = argv[0];
    int r = ctl_device(c, id, &path);

    if (r == 0)
        r = ctl_call(c, path, BUS_INTERFACE_DEVICE, "Promote", NULL, "");
    if (r != 0)
        return r;
    ctl_result_text(c, "device", id);
    print_say(c, "%s: the backup key is tried now, and becomes main if the cloud accepts it (`gatehousectl show %s`)",
              id, id);
    return 0;
}
