#include "load/watch/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#define WIDTH_LEAST 20U

unsigned terminal_width(void)
{
    struct winsize size = {0};
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) {
        return 80;
    }
    return size.ws_col < WIDTH_LEAST ? WIDTH_LEAST : size.ws_col;
}
