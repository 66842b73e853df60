/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "natural.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

static size_t digits(const char *text)
{
    return strspn(text, "0123456789");
}

/* The numbers that both texts begin with, which are moved behind them. */
static int compare_numbers(const char **a, const char **b)
{
    const char *x = *a + strspn(*a, "0"), *y = *b + strspn(*b, "0");
    size_t n = digits(x), m = digits(y);

    *a = x + n;
    *b = y + m;
    if (n != m)
        return n < m ? -1 : 1;
    return strncmp(x, y, n);
}

int natural_compare(const char *a, const char *b)
{
    const char *x = a, *y = b;

    while (*x && *y) {
        int r;

        if (digit(*x) && digit(*y))
            r = compare_numbers(&x, &y);
        else
            r = (unsigned char)*x++ - (unsigned char)*y++;
        if (r != 0)
            return r;
    }
    if (*x || *y)
        return (unsigned char)*x - (unsigned char)*y;
    return strlen(a) != strlen(b) ? (strlen(a) < strlen(b) ? -1 : 1) : strcmp(a, b);
}
