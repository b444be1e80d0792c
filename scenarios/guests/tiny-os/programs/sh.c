// sh: a small shell. COMMAND [ARGUMENT...], joined by | (pipe), ; (then) and & (in the background); < FILE reads from a file.
// Built in: exit, help. Programs are looked for in /bin.
#include "../libc/libc.h"

#define WORDS 32

static char line[256];

static int read_line(void) {
    print("$ ");
    u64 used = 0;
    while (used + 1 < sizeof line) {
        long count = read(0, line + used, sizeof line - 1 - used);
        if (count <= 0) return used > 0;
        used += (u64)count;
        if (line[used - 1] == '\n') break;
    }
    line[used] = 0;
    return 1;
}

static void execute(char **words) {
    char path[64] = "/bin/";
    char *environment[] = {0};
    if (words[0][0] == '/') path[0] = 0;
    if (strlen(words[0]) + strlen(path) < sizeof path) memcpy(path + strlen(path), words[0], strlen(words[0]) + 1);
    long error = execve(path, words, environment);
    print_to(2, error == -2 ? "sh: %s: no such program (try help)\n" : "sh: %s: cannot be started, error %d\n", words[0], -error);
    exit(127);
}

// Splits one command into words, taking "< FILE" out of it. Returns the number of words.
static int split(char *text, char **words, char **input) {
    int count = 0;
    *input = 0;
    while (*text) {
        while (*text == ' ' || *text == '\t' || *text == '\n' || *text == '\r') *text++ = 0;
        if (!*text) break;
        int is_input = *text == '<';
        if (is_input) {
            text++;
            while (*text == ' ') text++;
        }
        if (is_input) *input = text;
        else if (count + 1 < WORDS) words[count++] = text;
        while (*text && *text != ' ' && *text != '\t' && *text != '\n' && *text != '\r') text++;
    }
    words[count] = 0;
    return count;
}

// Ends the text at the first of the separators and returns what follows it, or 0. `found` is that separator, or 0.
static char *next(char *text, const char *separators, char *found) {
    for (; *text; text++)
        for (const char *separator = separators; *separator; separator++)
            if (*text == *separator) {
                *found = *text;
                *text = 0;
                return text + 1;
            }
    *found = 0;
    return 0;
}

// Runs commands joined by pipes, and waits for them unless they are in the background.
static void run_pipeline(char *text, int background) {
    int input = 0, started = 0;
    long children[sizeof line / 2]; // a command has a letter and a separator
    while (text) {
        char separator, *rest = next(text, "|", &separator), *words[WORDS], *input_file;
        int ends[2] = {-1, -1};
        if (!split(text, words, &input_file)) break;
        if (!strcmp(words[0], "exit")) exit(words[1] ? (int)number_of(words[1]) : 0);
        if (!strcmp(words[0], "help")) {
            print("cat crash echo exit forktest hello help hostname ls pagefault pid pipetest poweroff primes selftest sleep spin syscalls uname\n");
            return;
        }
        if (rest && pipe(ends) < 0) {
            print_to(2, "sh: no pipe to be had\n");
            break;
        }
        children[started] = fork();
        if (children[started] < 0) {
            print_to(2, "sh: no more processes\n");
            if (rest) close(ends[0]), close(ends[1]);
            break;
        }
        if (children[started] == 0) {
            if (input_file && (close(0), open(input_file, 0) < 0)) {
                print_to(2, "sh: %s: no such file\n", input_file);
                exit(1);
            }
            if (input) dup2(input, 0), close(input);
            if (rest) dup2(ends[1], 1), close(ends[0]), close(ends[1]);
            execute(words);
        }
        started++;
        if (input) close(input), input = 0;
        if (rest) close(ends[1]), input = ends[0];
        text = rest;
    }
    if (input) close(input);
    int status;
    for (int i = 0; !background && i < started; i++)
        if (waitpid(children[i], &status, 0) > 0 && status & 0x7f) print_to(2, "sh: ended by signal %d\n", (long)(status & 0x7f));
}

int main(void) {
    int status;
    while (read_line()) {
        for (char *text = line; text;) {
            char separator, *rest = next(text, ";&", &separator);
            run_pipeline(text, separator == '&');
            text = rest;
        }
        while (waitpid(-1, &status, 1) > 0) {} // what ended in the background
    }
    return 0;
}
