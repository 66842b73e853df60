/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vault recovery-key: made here, given to the agent, and printed once the agent has committed it; nobody keeps it. */
#include "ctl.h"

#include "base/encode.h"
#include "base/limits.h"
#include "base/terminal.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#define GROUP 4 /* hex digits between two dashes */
#define TEXT_SIZE (2 * KEYFILE_SIZE + 2 * KEYFILE_SIZE / GROUP)
/* xterm's second screen, which leaves nothing in the scrollback; a terminal without one scrolls. */
#define SCREEN_OTHER "\033[?1049h\033[H"
#define SCREEN_BACK "\033[2J\033[?1049l"

static const char advice[] =
    "Write it down and keep it where neither vault nor keyfile is: it is not shown again. It opens the vault,\n"
    "and backups made from now on, without keyfile and bind value, until the next rekey: gatehoused --recover\n";

static void key_text(const uint8_t key[KEYFILE_SIZE], char text[TEXT_SIZE])
{
    char digits[HEX_SIZE(KEYFILE_SIZE)];
    size_t n = 0;

    hex_encode(key, KEYFILE_SIZE, digits);
    for (size_t i = 0; digits[i]; i++) {
        if (i > 0 && i % GROUP == 0)
            text[n++] = '-';
        text[n++] = digits[i];
    }
    text[n] = 0;
    explicit_bzero(digits, sizeof(digits));
}

/* To be written down by hand; gone from the screen afterwards. */
static void show(const char *text)
{
    struct error e;
    int c;

    printf(SCREEN_OTHER "%s\n\n%s\n", text, advice);
    fflush(stdout);
    if (terminal_hide(STDIN_FILENO, "Press Enter to clear the screen. ", &e) >= 0) {
        while ((c = getchar()) != '\n' && c != EOF)
            ;
        terminal_show();
    }
    fputs(SCREEN_BACK, stdout);
    fflush(stdout);
}

static void give(struct ctl *c, const char *text)
{
    if (isatty(STDOUT_FILENO) && c->output == OUTPUT_TEXT) {
        show(text);
        return;
    }
    if (c->output != OUTPUT_TEXT)
        ctl_result_text(c, "recovery_key", text);
    else
        puts(text);
    if (!c->quiet)
        fputs(advice, stderr);
}

/* Whether it can be given at all, before one is made. */
static bool fit(const struct ctl *c)
{
    struct stat st;

    if (isatty(STDOUT_FILENO) && (c->output != OUTPUT_TEXT || !isatty(STDIN_FILENO))) {
        print_error("the recovery key is shown on a terminal until Enter is pressed there, and without --json; pipe it "
                    "on otherwise");
        return false;
    }
    if (c->output != OUTPUT_TEXT && c->quiet) {
        print_error("with --quiet, --json has no place for the recovery key");
        return false;
    }
    if (fstat(STDOUT_FILENO, &st) == 0 && S_ISREG(st.st_mode) && st.st_mode & S_IROTH)
        print_warning("everybody can read the file that the key goes to");
    return true;
}

int verb_vault_recovery_key(struct ctl *c, int argc, char **argv)
{
    _cleanup_close_ int fd = -EBADF;
    uint8_t key[KEYFILE_SIZE];
    char text[TEXT_SIZE];
    int r;

    if (!fit(c))
        return EXIT_FAILURE;
    if (getrandom(key, sizeof(key), 0) != sizeof(key)) {
        print_error("no random bytes: %m");
        return EXIT_FAILURE;
    }
    fd = key_memfd(key, sizeof(key));
    r = fd < 0 ? EXIT_FAILURE : ctl_call(c, BUS_PATH_MANAGER, BUS_INTERFACE_MANAGER, "SetRecoveryKey", NULL, "h", fd);
    key_text(key, text);
    explicit_bzero(key, sizeof(key));
    if (r == 0)
        give(c, text);
    explicit_bzero(text, sizeof(text));
    return r;
}
