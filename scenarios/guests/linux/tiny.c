// tiny: the programs of the image "tiny" in one file; the name it is called by tells which one it is (plain Linux calls; glibc, static).
// sh knows: WORD..., "quotes", 'quotes', $NAME, $?, $$, < > >> 2>&1, |, ;, &, &&, ||, and built in: cd, exit, export, wait, exec. sh -c TEXT, sh FILE.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;
static const char *self;

static int complain(const char *what) {
    fprintf(stderr, "%s: %s: %s\n", self, what, strerror(errno));
    return 1;
}

// The programs.

static int do_echo(int argc, char **argv) {
    int first = 1, newline = 1;
    if (argc > 1 && !strcmp(argv[1], "-n")) newline = 0, first = 2;
    for (int i = first; i < argc; i++) printf("%s%s", i > first ? " " : "", argv[i]);
    if (newline) printf("\n");
    return 0;
}
static int copy_out(int from, int to) {
    static char buffer[16384];
    for (ssize_t count; (count = read(from, buffer, sizeof buffer)) != 0;) {
        if (count < 0) return -1;
        for (ssize_t done = 0, wrote; done < count; done += wrote)
            if ((wrote = write(to, buffer + done, (size_t)(count - done))) < 0) return -1;
    }
    return 0;
}
static int do_cat(int argc, char **argv) {
    int status = 0;
    if (argc == 1 && copy_out(0, 1)) return complain("standard input");
    for (int i = 1; i < argc; i++) {
        int file = open(argv[i], O_RDONLY);
        if (file < 0 || copy_out(file, 1)) status = complain(argv[i]);
        if (file >= 0) close(file);
    }
    return status;
}
static void show(const char *folder, const char *name, int with_attributes) {
    char path[4096], target[4096] = "";
    struct stat info;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (!with_attributes) {
        printf("%s\n", name);
        return;
    }
    if (lstat(path, &info)) {
        complain(path);
        return;
    }
    const char *kind = S_ISDIR(info.st_mode) ? "d" : S_ISLNK(info.st_mode) ? "l" : S_ISCHR(info.st_mode) ? "c" : S_ISBLK(info.st_mode) ? "b" : S_ISFIFO(info.st_mode) ? "p" : "-";
    if (S_ISLNK(info.st_mode) && readlink(path, target, sizeof target - 1) < 0) target[0] = 0;
    printf("%s%04o %2lu %5u %5u %8lld %s%s%s\n", kind, info.st_mode & 07777, (unsigned long)info.st_nlink, info.st_uid, info.st_gid, (long long)info.st_size, name, *target ? " -> " : "", target);
}
static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }
static int list_folder(const char *path, int with_attributes, int all) {
    char *names[4096];
    int count = 0;
    DIR *folder = opendir(path);
    if (!folder) {
        if (errno != ENOTDIR) return complain(path);
        show(".", path, with_attributes);
        return 0;
    }
    for (struct dirent *entry; (entry = readdir(folder)) && count < 4096;)
        if (all || entry->d_name[0] != '.') names[count++] = strdup(entry->d_name);
    closedir(folder);
    qsort(names, (size_t)count, sizeof *names, by_name);
    for (int i = 0; i < count; i++) show(path, names[i], with_attributes), free(names[i]);
    return 0;
}
static int do_ls(int argc, char **argv) {
    int with_attributes = 0, all = 0, status = 0, listed = 0;
    for (int i = 1; i < argc; i++)
        if (argv[i][0] == '-') with_attributes |= !!strchr(argv[i], 'l'), all |= !!strchr(argv[i], 'a');
    for (int i = 1; i < argc; i++)
        if (argv[i][0] != '-') status |= list_folder(argv[i], with_attributes, all), listed = 1;
    return listed ? status : list_folder(".", with_attributes, all);
}
static int do_mkdir(int argc, char **argv) {
    int parents = argc > 1 && !strcmp(argv[1], "-p"), status = 0;
    for (int i = 1 + parents; i < argc; i++) {
        for (char *slash = strchr(argv[i] + 1, '/'); parents && slash; slash = strchr(slash + 1, '/')) *slash = 0, mkdir(argv[i], 0777), *slash = '/';
        if (mkdir(argv[i], 0777) && !(parents && errno == EEXIST)) status = complain(argv[i]);
    }
    return status;
}
static int remove_all(const char *path, int recursive, int force) {
    struct stat info;
    if (lstat(path, &info)) return force ? 0 : complain(path);
    if (!S_ISDIR(info.st_mode) || !recursive) return unlink(path) ? complain(path) : 0;
    int status = 0;
    DIR *folder = opendir(path);
    if (!folder) return complain(path);
    for (struct dirent *entry; (entry = readdir(folder));) {
        char inner[4096];
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
        status |= remove_all(inner, 1, force);
    }
    closedir(folder);
    return rmdir(path) ? complain(path) : status;
}
static int do_rm(int argc, char **argv) {
    int recursive = 0, force = 0, status = 0;
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] == '-') recursive |= !!strchr(argv[i], 'r'), force |= !!strchr(argv[i], 'f');
        else status |= remove_all(argv[i], recursive, force);
    }
    return status;
}
static int do_ln(int argc, char **argv) {
    int symbolic = argc > 1 && !strcmp(argv[1], "-s");
    if (argc != 3 + symbolic) return errno = EINVAL, complain("give [-s] TARGET NAME");
    return (symbolic ? symlink(argv[2], argv[3]) : link(argv[1], argv[2])) ? complain(argv[argc - 1]) : 0;
}
static int do_mv(int argc, char **argv) {
    if (argc != 3) return errno = EINVAL, complain("give OLD NEW");
    return rename(argv[1], argv[2]) ? complain(argv[1]) : 0;
}
static int do_chmod(int argc, char **argv) {
    int status = 0;
    for (int i = 2; i < argc; i++)
        if (chmod(argv[i], (mode_t)strtoul(argv[1], 0, 8))) status = complain(argv[i]);
    return status;
}
static int do_touch(int argc, char **argv) {
    int status = 0;
    for (int i = 1; i < argc; i++) {
        int file = open(argv[i], O_WRONLY | O_CREAT, 0666);
        if (file < 0) status = complain(argv[i]);
        else close(file);
    }
    return status;
}
static int do_sleep(int argc, char **argv) {
    double seconds = argc > 1 ? atof(argv[1]) : 0;
    struct timespec time = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&time, 0);
    return 0;
}
static int do_hostname(int argc, char **argv) {
    char name[65] = "";
    if (argc > 1) return sethostname(argv[1], strlen(argv[1])) ? complain(argv[1]) : 0;
    gethostname(name, sizeof name - 1);
    printf("%s\n", name);
    return 0;
}
static int do_id(int argc, char **argv) {
    (void)argc, (void)argv;
    printf("uid=%d gid=%d euid=%d egid=%d\n", getuid(), getgid(), geteuid(), getegid());
    return 0;
}
static int do_env(int argc, char **argv) {
    (void)argc, (void)argv;
    for (char **each = environ; *each; each++) printf("%s\n", *each);
    return 0;
}
static int do_pwd(int argc, char **argv) {
    char path[4096];
    (void)argc, (void)argv;
    if (!getcwd(path, sizeof path)) return complain("the working directory");
    printf("%s\n", path);
    return 0;
}
static int do_kill(int argc, char **argv) {
    int number = SIGTERM, first = 1, status = 0;
    if (argc > 1 && argv[1][0] == '-') number = atoi(argv[1] + 1), first = 2;
    for (int i = first; i < argc; i++)
        if (kill(atoi(argv[i]), number)) status = complain(argv[i]);
    return status;
}
static int do_ps(int argc, char **argv) {
    (void)argc, (void)argv;
    DIR *folder = opendir("/proc");
    if (!folder) return complain("/proc");
    printf("%5s %5s %s\n", "PID", "PPID", "COMMAND");
    for (struct dirent *entry; (entry = readdir(folder));) {
        char path[300], text[1024], name[64] = "?";
        int parent = 0;
        if (entry->d_name[0] < '0' || entry->d_name[0] > '9') continue;
        snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
        int file = open(path, O_RDONLY);
        ssize_t count = file < 0 ? -1 : read(file, text, sizeof text - 1);
        if (file >= 0) close(file);
        if (count <= 0) continue;
        text[count] = 0;
        if (sscanf(text, "%*d (%63[^)]) %*c %d", name, &parent) == 2) printf("%5s %5d %s\n", entry->d_name, parent, name);
    }
    closedir(folder);
    return 0;
}
static int do_true(int argc, char **argv) { return (void)argc, (void)argv, 0; }
static int do_false(int argc, char **argv) { return (void)argc, (void)argv, 1; }
static int do_sh(int argc, char **argv);

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} kPrograms[] = {{"cat", do_cat}, {"chmod", do_chmod}, {"echo", do_echo}, {"env", do_env}, {"false", do_false}, {"hostname", do_hostname}, {"id", do_id}, {"kill", do_kill}, {"ln", do_ln},
                 {"ls", do_ls}, {"mkdir", do_mkdir}, {"mv", do_mv}, {"ps", do_ps}, {"pwd", do_pwd}, {"rm", do_rm}, {"sh", do_sh}, {"sleep", do_sleep}, {"touch", do_touch}, {"true", do_true}};

// The shell.

enum { kWords = 256 };
static int last_status;

// One word's text with quotes and variables done, from *at; 0 at an operator or the end. `text` is at most 4096 bytes.
static int next_word(const char **at, char *text) {
    size_t used = 0;
    int any = 0;
    char quote = 0;
    while (**at == ' ' || **at == '\t') ++*at;
    for (; **at && used < 4000; ++*at) {
        char c = **at;
        if (!quote && strchr(" \t\n;|&<>", c)) break;
        any = 1;
        if (quote ? c == quote : c == '"' || c == '\'') {
            quote = quote ? 0 : c;
        } else if (c == '\\' && quote != '\'' && (*at)[1]) {
            text[used++] = *++*at;
        } else if (c == '$' && quote != '\'') {
            char name[128], number[16];
            size_t length = 0;
            const char *value = "";
            int braces = (*at)[1] == '{';
            *at += braces;
            if (!braces && ((*at)[1] == '?' || (*at)[1] == '$')) {
                snprintf(number, sizeof number, "%d", *++*at == '?' ? last_status : (int)getpid());
                value = number;
            } else {
                for (char n; (n = (*at)[1]) && length < 127 && ((n >= 'a' && n <= 'z') || (n >= 'A' && n <= 'Z') || (n >= '0' && n <= '9') || n == '_'); ++*at) name[length++] = n;
                name[length] = 0;
                if (braces && (*at)[1] == '}') ++*at;
                value = length ? getenv(name) : "$";
            }
            for (; value && *value && used < 4000; ++value) text[used++] = *value;
        } else {
            text[used++] = c;
        }
    }
    text[used] = 0;
    return any;
}

struct command {
    char *words[kWords + 1];
    int count, input, output, error;
};
// Words and redirections up to an operator. -1 when a file cannot be opened.
static int parse_command(const char **at, struct command *command) {
    char text[4096];
    command->count = 0, command->input = 0, command->output = 1, command->error = 2;
    for (;;) {
        while (**at == ' ' || **at == '\t') ++*at;
        int descriptor = (**at == '1' || **at == '2') && (*at)[1] == '>' ? *(*at)++ - '0' : 1;
        if (**at == '<' || **at == '>') {
            int reads = *(*at)++ == '<', appends = !reads && **at == '>';
            *at += appends;
            int *place = reads ? &command->input : descriptor == 2 ? &command->error : &command->output;
            if (!reads && **at == '&') {
                *place = (*at)[1] == '1' ? command->output : command->error;
                *at += 2;
                continue;
            }
            if (!next_word(at, text)) return errno = EINVAL, complain("a file name is missing"), -1;
            *place = open(text, reads ? O_RDONLY : O_WRONLY | O_CREAT | (appends ? O_APPEND : O_TRUNC), 0666);
            if (*place < 0) return complain(text), -1;
        } else if (!next_word(at, text)) {
            break;
        } else if (command->count < kWords) {
            command->words[command->count++] = strdup(text);
        }
    }
    command->words[command->count] = 0;
    return 0;
}

static void become(struct command *command) {
    if (command->input != 0) dup2(command->input, 0), close(command->input);
    int output = command->output, error = command->error;
    if (error != 2) dup2(error, 2);
    if (output != 1) dup2(output, 1);
    if (output > 2) close(output);
    if (error > 2 && error != output) close(error);
    execvp(command->words[0], command->words);
    int why = errno;
    complain(command->words[0]);
    _exit(why == ENOENT ? 127 : 126);
}
// 1 when the command is the shell's own; its status is in last_status.
static int built_in(struct command *command) {
    char **words = command->words;
    if (!strcmp(words[0], "exit")) exit(words[1] ? atoi(words[1]) : last_status);
    if (!strcmp(words[0], "cd")) return last_status = chdir(words[1] ? words[1] : "/") ? complain(words[1]) : 0, 1;
    if (!strcmp(words[0], "exec") && words[1]) memmove(words, words + 1, (size_t)command->count * sizeof *words), become(command);
    if (!strcmp(words[0], "wait")) {
        while (wait(0) > 0) {}
        return last_status = 0, 1;
    }
    if (!strcmp(words[0], "export")) ++words, --command->count;
    if (words[0] && strchr(words[0], '=')) return putenv(strdup(words[0])), last_status = 0, 1;
    return words != command->words;
}
static int status_of(int waited) { return WIFSIGNALED(waited) ? 128 + WTERMSIG(waited) : WEXITSTATUS(waited); }

// COMMAND | COMMAND ...; the status is the last one's.
static void run_pipeline(const char **at) {
    pid_t last = 0;
    int from = 0;
    for (;;) {
        struct command command;
        int ends[2] = {0, 1}, failed = parse_command(at, &command);
        int pipes = **at == '|' && (*at)[1] != '|';
        int background = **at == '&' && (*at)[1] != '&';
        if (failed || !command.count) {
            last_status = failed ? 1 : last_status;
        } else if (!pipes && !from && !background && built_in(&command)) {
        } else {
            if (pipes && pipe2(ends, O_CLOEXEC)) exit(complain("pipe"));
            if (from) command.input = command.input ? command.input : from;
            if (pipes && command.output == 1) command.output = ends[1];
            fflush(0);
            last = fork();
            if (last == 0) become(&command);
            if (last < 0) last_status = complain("fork");
        }
        for (int i = 0; i < command.count; i++) free(command.words[i]);
        if (command.input > 2 && command.input != from) close(command.input);
        if (command.output > 2 && command.output != ends[1]) close(command.output);
        if (command.error > 2 && command.error != command.output) close(command.error);
        if (from) close(from);
        if (pipes) close(ends[1]);
        from = pipes ? ends[0] : 0;
        if (pipes) {
            ++*at;
            continue;
        }
        if (background || last <= 0) return;
        int status = 0;
        pid_t ended;
        while ((ended = wait(&status)) > 0)
            if (ended == last) {
                last_status = status_of(status);
                return;
            }
        return;
    }
}
static void run_text(const char *at) {
    while (*at) {
        while (*at == ' ' || *at == '\t' || *at == ';' || *at == '\n') ++at;
        if (*at == '#')
            while (*at && *at != '\n') ++at;
        if (!*at) return;
        run_pipeline(&at);
        while ((at[0] == '&' && at[1] == '&' && last_status) || (at[0] == '|' && at[1] == '|' && !last_status)) { // what follows is left out
            at += 2;
            for (char quote = 0; *at && (quote || !(*at == ';' || *at == '\n' || (at[0] == '&' && at[1] == '&') || (at[0] == '|' && at[1] == '|'))); ++at)
                if (quote ? *at == quote : *at == '"' || *at == '\'') quote = quote ? 0 : *at;
        }
        if ((at[0] == '&' && at[1] == '&') || (at[0] == '|' && at[1] == '|')) at += 2;
        else if (*at == '&' || *at == ')' || *at == '|') ++at;
    }
}
static int do_sh(int argc, char **argv) {
    if (argc > 2 && !strcmp(argv[1], "-c")) {
        run_text(argv[2]);
        return last_status;
    }
    FILE *input = argc > 1 ? fopen(argv[1], "r") : stdin;
    if (!input) return complain(argv[1]), 127;
    int prompts = argc < 2 && isatty(0);
    char line[4096];
    for (;;) {
        if (prompts) printf("%s ", getuid() ? "$" : "#"), fflush(stdout);
        if (!fgets(line, sizeof line, input)) return last_status;
        run_text(line);
    }
}

int main(int argc, char **argv) {
    const char *slash = argc ? strrchr(argv[0], '/') : 0;
    self = slash ? slash + 1 : argc ? argv[0] : "tiny";
    if (self[0] == '-') self++;
    for (size_t i = 0; i < sizeof kPrograms / sizeof *kPrograms; i++)
        if (!strcmp(self, kPrograms[i].name)) return kPrograms[i].run(argc, argv);
    if (argc > 1) return self = "tiny", main(argc - 1, argv + 1);
    for (size_t i = 0; i < sizeof kPrograms / sizeof *kPrograms; i++) printf("%s\n", kPrograms[i].name);
    return 0;
}
