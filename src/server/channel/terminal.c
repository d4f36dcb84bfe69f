#include "server/channel/terminal.h"

#define CONTROL_C 0x03
#define CONTROL_D 0x04
#define BACKSPACE 0x08
#define DELETE 0x7f

const char terminal_note_echo[] =
    "sshechod: whatever you type comes back as it is, byte for byte. To leave ssh: Enter, "
    "then ~.\r\n(ssh -t HOST terminal echoes as a terminal does, and Ctrl-D ends it)\r\n";
const char terminal_note_terminal[] =
    "sshechod: what you type is echoed as a terminal does. Ctrl-D or Ctrl-C ends it.\r\n";

/* Of the others below it a terminal shows the letter, as ^[ for an escape: sent back as it is, an arrow key would move
 * the cursor away. */
#define FIRST_PRINTING 0x20

static bool is_plain(uint8_t byte)
{
    return (byte >= FIRST_PRINTING && byte != DELETE) || byte == '\n' || byte == '\t';
}

size_t terminal_plain_bytes(const uint8_t *bytes, size_t size)
{
    size_t n = 0;
    while (n < size && is_plain(bytes[n])) {
        n++;
    }
    return n;
}

const char *terminal_answer(uint8_t byte, bool *ends)
{
    static char shown[FIRST_PRINTING][3];
    *ends = byte == CONTROL_C || byte == CONTROL_D;
    switch (byte) {
    case '\r':
        return "\r\n";
    case CONTROL_C:
        return "^C\r\n";
    case CONTROL_D:
        return "\r\n";
    case BACKSPACE:
    case DELETE:
        return "\b \b";
    default:
        shown[byte % FIRST_PRINTING][0] = '^';
        shown[byte % FIRST_PRINTING][1] = (char)('@' + byte % FIRST_PRINTING);
        return shown[byte % FIRST_PRINTING];
    }
}
