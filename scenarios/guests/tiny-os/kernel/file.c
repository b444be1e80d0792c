// Files: a read-only file system (a tar archive in the kernel's image, in ustar format), pipes, and the table of open files.
#include "kernel.h"

struct pipe {
    int used;
    int readers, writers;
    u64 read_at, written; // both count up; the buffer holds the difference
    u8 buffer[1024];
};

static struct file files[MAX_FILES];
static struct pipe pipes[MAX_PROCESSES];
static struct archive_entry entries[64];
static int entry_count;
extern u8 archive[], archive_end[];

// --- The archive: blocks of 512 bytes, a header before each file (POSIX pax, "ustar interchange format").

static u64 octal(const u8 *text, int digits) {
    u64 value = 0;
    for (int i = 0; i < digits && text[i] >= '0' && text[i] <= '7'; i++) value = value * 8 + (u64)(text[i] - '0');
    return value;
}

void files_start(void) {
    entries[entry_count++].directory = 1; // the root
    for (u8 *header = archive; header + 512 <= archive_end && header[0] && entry_count < 64;) {
        struct archive_entry *entry = &entries[entry_count];
        const char *name = (const char *)header;
        while (*name == '.' || *name == '/') name++;
        u64 length = strlen(name) < sizeof entry->name ? strlen(name) : sizeof entry->name - 1;
        if (length && name[length - 1] == '/') length--;
        memcpy(entry->name, name, length);
        entry->directory = header[156] == '5';
        entry->data = header + 512;
        entry->bytes = octal(header + 124, 11);
        if (length) entry_count++;
        header += 512 + ((entry->bytes + 511) & ~511ul);
    }
}

struct archive_entry *archive_find(const char *path) {
    while (*path == '/' || (*path == '.' && (path[1] == '/' || !path[1]))) path++;
    for (int i = 0; i < entry_count; i++) {
        u64 length = strlen(entries[i].name);
        if (!memcmp(entries[i].name, path, length) && (!path[length] || (path[length] == '/' && !path[length + 1]))) return &entries[i];
    }
    return 0;
}

static struct file *new_file(enum file_kind kind) {
    for (int i = 0; i < MAX_FILES; i++)
        if (files[i].kind == FILE_FREE) {
            files[i] = (struct file){.kind = kind, .users = 1};
            return &files[i];
        }
    return 0;
}

struct file *file_console(void) { return new_file(FILE_CONSOLE); }

i64 file_open(const char *path) {
    struct file *file;
    if (!strcmp(path, "/dev/console") || !strcmp(path, "/dev/tty")) {
        file = new_file(FILE_CONSOLE);
    } else {
        struct archive_entry *entry = archive_find(path);
        if (!entry) return -ENOENT;
        file = new_file(entry->directory ? FILE_DIRECTORY : FILE_ARCHIVE);
        if (file) file->entry = entry;
    }
    if (!file) return -EMFILE;
    for (int fd = 0; fd < FILES_PER_PROCESS; fd++)
        if (!current->files[fd]) return current->files[fd] = file, fd;
    file_close(file);
    return -EMFILE;
}

i64 file_list(struct file *file, u64 to, u64 bytes) {
    if (file->kind != FILE_DIRECTORY) return -ENOTDIR;
    struct { u64 inode; i64 offset; u16 length; u8 type; char name[64]; } __attribute__((packed)) record;
    u64 prefix = strlen(file->entry->name), done = 0;
    for (; file->offset < (u64)entry_count; file->offset++) {
        struct archive_entry *entry = &entries[file->offset];
        const char *name = entry->name;
        if (!*name || memcmp(name, file->entry->name, prefix) || (prefix && name[prefix] != '/')) continue;
        name += prefix ? prefix + 1 : 0;
        int nested = !*name;
        for (const char *c = name; *c; c++) nested |= *c == '/';
        if (nested) continue;
        memset(&record, 0, sizeof record);
        record.inode = file->offset + 1, record.offset = (i64)file->offset + 1, record.type = entry->directory ? 4 : 8;
        record.length = (u16)((19 + strlen(name) + 1 + 7) & ~7ul);
        memcpy(record.name, name, strlen(name));
        if (done + record.length > bytes) break;
        if (copy_to_user(to + done, &record, record.length) < 0) return -EFAULT;
        done += record.length;
    }
    return (i64)done;
}

// --- Pipes

i64 file_pipe(struct file **read_end, struct file **write_end) {
    struct pipe *pipe = 0;
    for (int i = 0; i < MAX_PROCESSES && !pipe; i++)
        if (!pipes[i].used) pipe = &pipes[i];
    *read_end = pipe ? new_file(FILE_PIPE_READ) : 0;
    *write_end = *read_end ? new_file(FILE_PIPE_WRITE) : 0;
    if (!*write_end) {
        if (*read_end) (*read_end)->kind = FILE_FREE;
        return -EMFILE;
    }
    memset(pipe, 0, sizeof *pipe);
    pipe->used = pipe->readers = pipe->writers = 1;
    (*read_end)->pipe = (*write_end)->pipe = pipe;
    return 0;
}

static i64 pipe_read(struct pipe *pipe, u64 to, u64 bytes) {
    while (pipe->read_at == pipe->written) {
        if (!pipe->writers) return 0;
        sleep_on(pipe);
    }
    u64 done = 0;
    for (; done < bytes && pipe->read_at < pipe->written; done++, pipe->read_at++)
        if (copy_to_user(to + done, &pipe->buffer[pipe->read_at % sizeof pipe->buffer], 1) < 0) return -EFAULT;
    wake(pipe);
    return (i64)done;
}

static i64 pipe_write(struct pipe *pipe, u64 from, u64 bytes) {
    for (u64 done = 0; done < bytes; done++) {
        while (pipe->written - pipe->read_at == sizeof pipe->buffer && pipe->readers) {
            wake(pipe);
            sleep_on(pipe);
        }
        if (!pipe->readers) return -EPIPE;
        if (copy_from_user(&pipe->buffer[pipe->written % sizeof pipe->buffer], from + done, 1) < 0) return -EFAULT;
        pipe->written++;
    }
    wake(pipe);
    return (i64)bytes;
}

// --- What all have in common

void file_close(struct file *file) {
    if (--file->users) return;
    if (file->pipe) {
        if (file->kind == FILE_PIPE_READ) file->pipe->readers--;
        else file->pipe->writers--;
        wake(file->pipe);
        if (!file->pipe->readers && !file->pipe->writers) file->pipe->used = 0;
    }
    file->kind = FILE_FREE;
}

i64 file_read(struct file *file, u64 to, u64 bytes) {
    char chunk[128];
    switch (file->kind) {
    case FILE_PIPE_READ: return pipe_read(file->pipe, to, bytes);
    case FILE_DIRECTORY: return -EISDIR;
    case FILE_CONSOLE: {
        i64 count = console_read(chunk, bytes < sizeof chunk ? bytes : sizeof chunk);
        return copy_to_user(to, chunk, (u64)count) < 0 ? -EFAULT : count;
    }
    case FILE_ARCHIVE: {
        u64 left = file->offset < file->entry->bytes ? file->entry->bytes - file->offset : 0;
        u64 count = bytes < left ? bytes : left;
        if (copy_to_user(to, file->entry->data + file->offset, count) < 0) return -EFAULT;
        file->offset += count;
        return (i64)count;
    }
    default: return -EBADF;
    }
}

i64 file_write(struct file *file, u64 from, u64 bytes) {
    char chunk[128];
    if (file->kind == FILE_PIPE_WRITE) return pipe_write(file->pipe, from, bytes);
    if (file->kind != FILE_CONSOLE) return -EBADF;
    for (u64 done = 0; done < bytes;) {
        u64 count = bytes - done < sizeof chunk ? bytes - done : sizeof chunk;
        if (copy_from_user(chunk, from + done, count) < 0) return done ? (i64)done : -EFAULT;
        console_write(chunk, count);
        done += count;
    }
    return (i64)bytes;
}
