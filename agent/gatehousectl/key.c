/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* key: credentials. Key bytes pass through this process only between two descriptors, and are wiped behind. */
#include "ctl.h"

#include "base/durable.h"
#include "base/encode.h"
#include "base/limits.h"

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
};

static int read_key(const char *file, struct key_text *key)
{
    _cleanup_close_ int opened = -EBADF;
    int fd = STDIN_FILENO;

    if (file && strcmp(file, "-") != 0)
        fd = opened = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        fprintf(stderr, "gatehousectl: cannot open %s: %m\n", file);
        return EXIT_FAILURE;
    }
    if (isatty(fd))
        fprintf(stderr, "Key (not hidden), then Ctrl-D twice: ");
    for (;;) {
        ssize_t n = read(fd, key->bytes + key->size, sizeof(key->bytes) - key->size);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            fprintf(stderr, "gatehousectl: cannot read the key: %m\n");
            return EXIT_FAILURE;
        }
        if (n == 0)
            return 0;
        key->size += (size_t)n;
        if (key->size > KEY_DESCRIPTOR_MAX) {
            fprintf(stderr, "gatehousectl: the key is over %d bytes\n", KEY_DESCRIPTOR_MAX);
            return EXIT_FAILURE;
        }
    }
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
        fprintf(stderr,
                "gatehousectl: this looks like hex, but is taken as raw bytes; --encoding=hex if it is meant so\n");
    else if (n != key->size)
        fprintf(stderr, "gatehousectl: the newline at the end is taken as part of the key; --encoding=text drops it\n");
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

int key_memfd(const void *bytes, size_t n)
{
    _cleanup_close_ int fd = memfd_create("key", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0 || write_all(fd, bytes, n) < 0 || lseek(fd, 0, SEEK_SET) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0) {
        fprintf(stderr, "gatehousectl: cannot hand the key over: %m\n");
        return -EBADF;
    }
    return TAKE_FD(fd);
}

static bool is_empty(json_object *properties, const char *name)
{
    return !(json_get_string(properties, name) ?: "")[0];
}

/* Backup beside a main that may be in use; --force puts a key in the place of a refused main that it corrects. */
static const char *slot_to_set(const struct ctl *c, json_object *properties, const char *identity)
{
    const char *main = json_get_string(properties, "MainIdentity") ?: "";
    bool refused = strcmp(json_get_string(properties, "State") ?: "", "refused") == 0;
    bool corrects = strcmp(main, identity) == 0 || is_empty(properties, "BackupIdentity");

    return !main[0] || (c->force && refused && corrects) ? "main" : "backup";
}

static int set(struct ctl *c, const char *path, const char *id, const char *identity, const char *file)
{
    _cleanup_json_ json_object *before = NULL, *after = NULL;
    _cleanup_close_ int fd = -EBADF;
    struct key_text key = {.size = 0};
    const char *slot, *encoding = c->encoding ?: "raw";
    char property[32];
    size_t length = 0;
    int r = ctl_properties(c, path, BUS_INTERFACE_DEVICE, &before);

    if (r == 0)
        r = read_key(file, &key);
    if (r == 0) {
        warn_of_text(c, &key);
        length = key_length(&key, encoding);
        fd = key_memfd(key.bytes, key.size);
        r = fd < 0 ? EXIT_FAILURE : 0;
    }
    explicit_bzero(key.bytes, sizeof(key.bytes));
    if (r != 0)
        return r;
    slot = slot_to_set(c, before, identity);
    r = ctl_call(c, path, BUS_INTERFACE_DEVICE, "SetCredential", NULL, "ssha{sv}", slot, identity, fd, 2, "encoding",
                 "s", encoding, "force", "b", (int)c->force);
    if (r == 0)
        r = ctl_properties(c, path, BUS_INTERFACE_DEVICE, &after);
    if (r != 0)
        return r;
    snprintf(property, sizeof(property), "%sFingerprint", slot[0] == 'm' ? "Main" : "Backup");
    print_say(c, "%s: %s key set, fingerprint %s, %zu bytes, read as %s%s", id, slot,
              json_get_string(after, property) ?: "", length, encoding,
              slot[0] == 'm' ? "" : "; it becomes main once the cloud accepts it");
    return 0;
}

/* Standard output, or a new file of mode 0600. */
static int open_output(const char *file)
{
    struct stat st;
    int fd;

    if (!file) {
        if (fstat(STDOUT_FILENO, &st) == 0 && S_ISREG(st.st_mode) && st.st_mode & S_IROTH)
            fprintf(stderr, "gatehousectl: warning: everybody can read the file that the key goes to\n");
        return fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    }
    fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        fprintf(stderr, "gatehousectl: cannot make %s: %m\n", file);
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
        fprintf(stderr, "gatehousectl: cannot write the key: %s\n", strerror(-r));
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
        fprintf(stderr, "gatehousectl: cannot read the key from the agent: %m\n");
        return EXIT_FAILURE;
    }
    key.size = (size_t)n;
    r = write_key(c, out, &key);
    explicit_bzero(key.bytes, sizeof(key.bytes));
    return r;
}

/* The file is made first: a key that was handed out and then has no place to go would count as known. */
static int export_key(struct ctl *c, const char *path, const char *slot, const char *file)
{
    const char *name = file && strcmp(file, "-") != 0 ? file : NULL;
    _cleanup_close_ int out = -EBADF;
    int r;

    if (c->encoding && strcmp(c->encoding, "raw") != 0 && strcmp(c->encoding, "hex") != 0 &&
        strcmp(c->encoding, "base64") != 0) {
        fprintf(stderr, "gatehousectl: a key is exported as raw, hex or base64, not '%s'\n", c->encoding);
        return EXIT_USAGE;
    }
    out = open_output(name);
    if (out < 0)
        return EXIT_FAILURE;
    r = fetch_key(c, path, slot, out);
    if (r != 0 && name)
        unlink(name);
    return r;
}

static int forget(struct ctl *c, const char *path, const char *id, const char *slot)
{
    _cleanup_json_ json_object *after = NULL;
    int r = ctl_call(c, path, BUS_INTERFACE_DEVICE, "ForgetCredential", NULL, "sa{sv}", slot, 1, "force", "b",
                     (int)c->force);

    if (r == 0)
        r = ctl_properties(c, path, BUS_INTERFACE_DEVICE, &after);
    if (r != 0)
        return r;
    if (is_empty(after, slot[0] == 'm' ? "MainIdentity" : "BackupIdentity"))
        print_say(c, "%s: %s key forgotten", id, slot);
    else
        print_say(c,
                  "%s: not yet: the backup key is forgotten once the cloud has accepted the main one again, and has "
                  "deleted this one where the agent can ask it to (`gatehousectl show %s`)",
                  id, id);
    return 0;
}

static int promote(struct ctl *c, const char *path, const char *id)
{
    int r = ctl_call(c, path, BUS_INTERFACE_DEVICE, "Promote", NULL, "");

    if (r == 0)
        print_say(c,
                  "%s: the backup key is tried now, and becomes main if the cloud accepts it (`gatehousectl show %s`)",
                  id, id);
    return r;
}

static bool known(int argc, char **argv)
{
    static const struct {
        const char *verb;
        int min, max; /* of argc */
    } verbs[] = {{"set", 4, 5}, {"promote", 3, 3}, {"forget", 4, 4}, {"export", 4, 5}};

    for (size_t i = 0; i < ELEMENTSOF(verbs); i++)
        if (strcmp(verbs[i].verb, argv[1]) == 0)
            return argc >= verbs[i].min && argc <= verbs[i].max;
    return false;
}

int verb_key(struct ctl *c, int argc, char **argv)
{
    _cleanup_free_ char *path = NULL;
    int r;

    if (!known(argc, argv)) {
        fprintf(stderr, "gatehousectl: key set DEVICE IDENTITY [FILE], key forget DEVICE SLOT, key promote DEVICE, "
                        "or key export DEVICE SLOT [FILE]\n");
        return EXIT_USAGE;
    }
    r = ctl_device(c, argv[2], &path);
    if (r != 0)
        return r;
    switch (argv[1][0]) {
    case 's':
        return set(c, path, argv[2], argv[3], argc > 4 ? argv[4] : NULL);
    case 'p':
        return promote(c, path, argv[2]);
    case 'f':
        return forget(c, path, argv[2], argv[3]);
    default:
        return export_key(c, path, argv[3], argc > 4 ? argv[4] : NULL);
    }
}
