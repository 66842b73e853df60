/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/terminal.h"

#include "base/cleanup.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static const int ending[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};

static struct {
    int fd;
    struct termios shown, hidden;
    struct sigaction before[ELEMENTSOF(ending)];
    const char *prompt;
} terminal;

static void ask(void)
{
    (void)!write(STDERR_FILENO, terminal.prompt, strlen(terminal.prompt));
}

/* Only what signal-safety(7) allows. */
static void on_signal(int number)
{
    struct sigaction ours;
    int saved = errno;
    sigset_t set;

    tcsetattr(terminal.fd, TCSANOW, &terminal.shown);
    for (size_t i = 0; i < ELEMENTSOF(ending); i++)
        if (ending[i] == number)
            sigaction(number, &terminal.before[i], &ours);
    sigemptyset(&set);
    sigaddset(&set, number);
    raise(number);
    sigprocmask(SIG_UNBLOCK, &set, NULL); /* ends or suspends the program here */
    sigaction(number, &ours, NULL);
    tcsetattr(terminal.fd, TCSAFLUSH, &terminal.hidden);
    ask();
    errno = saved;
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

    sigfillset(&action.sa_mask);
    for (size_t i = 0; i < ELEMENTSOF(ending); i++) {
        sigaction(ending[i], NULL, &terminal.before[i]);
        if (terminal.before[i].sa_handler != SIG_IGN)
            sigaction(ending[i], &action, NULL);
    }
}

int terminal_hide(int fd, const char *prompt, struct error *e)
{
    int r;

    terminal.fd = fd;
    terminal.prompt = prompt;
    if (tcgetattr(fd, &terminal.shown) < 0)
        return error_errno(e, -errno, "cannot read the terminal's settings");
    terminal.hidden = terminal.shown;
    terminal.hidden.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
    terminal.hidden.c_lflag |= ICANON;
    catch_signals();
    /* TCSAFLUSH drops input typed while echo was on. */
    if (tcsetattr(fd, TCSAFLUSH, &terminal.hidden) < 0) {
        r = error_errno(e, -errno, "cannot turn the terminal's echo off");
        terminal_show();
        return r;
    }
    ask();
    return 0;
}

void terminal_show(void)
{
    tcsetattr(terminal.fd, TCSAFLUSH, &terminal.shown);
    for (size_t i = 0; i < ELEMENTSOF(ending); i++)
        sigaction(ending[i], &terminal.before[i], NULL);
    (void)!write(STDERR_FILENO, "\n", 1);
}
