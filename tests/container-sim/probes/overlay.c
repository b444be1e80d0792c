// overlay: what is merged, what is copied up and when, whiteouts and opaque folders, renames and links.
#include "check.h"

#include <sys/xattr.h>

static bool exists(const char *path) {
    struct stat info;
    return lstat(path, &info) == 0;
}
static void text_of(const char *path, const char *text) { touch(path, text); }
// In a private mount namespace: l (lower), u (upper), w (work), m (merged); `fill` makes the lower folder first
static void overlay(void (*fill)(void)) {
    own_mounts();
    static const char *const folders[] = {"l", "u", "w", "m"};
    for (int i = 0; i < 4; i++) MUST(mkdir(folders[i], 0755));
    if (fill) fill();
    MUST(mount("overlay", "m", "overlay", 0, "lowerdir=l,upperdir=u,workdir=w"));
}
static void show_list(const char *label, const char *path) {
    char names[32][64], line[2100] = "";
    int count = 0;
    DIR *folder = opendir(path);
    if (!folder) {
        say("%s=%s", label, strerrorname_np(errno));
        return;
    }
    for (struct dirent *entry; count < 32 && (entry = readdir(folder));)
        if (entry->d_name[0] != '.') snprintf(names[count++], 64, "%.63s", entry->d_name);
    closedir(folder);
    qsort(names, count, 64, (int (*)(const void *, const void *))strcmp);
    for (int i = 0; i < count; i++) strcat(strcat(line, i ? "," : ""), names[i]);
    say("%s=%s", label, line);
}
static bool is_whiteout(const char *path) {
    struct stat info;
    return lstat(path, &info) == 0 && S_ISCHR(info.st_mode) && info.st_rdev == 0;
}
static void some_files(void) {
    text_of("l/file", "lower");
    mkdir("l/dir", 0755);
    text_of("l/dir/a", "a"), text_of("l/dir/b", "b");
    symlink("file", "l/link");
    chmod("l/file", 0640), chown("l/file", 12, 34);
    text_of("u/upper", "upper");
    mkdir("u/dir", 0755);
    text_of("u/dir/c", "c"), text_of("u/dir/a", "upper a");
}

CHECK(overlay_merges) {
    overlay(some_files);
    show_list("root", "m");
    show_list("dir", "m/dir");
    show_file("a", "m/dir/a");
    show_file("b", "m/dir/b");
    show_file("file", "m/file");
}

CHECK(overlay_38_whiteouts) {
    overlay(some_files);
    SHOW("unlink", unlink("m/file"));
    SHOW("gone", access("m/file", F_OK));
    say("whiteout=%d lower=%d", is_whiteout("u/file"), exists("l/file"));
    SHOW("unlink-upper", unlink("m/upper"));
    say("no-whiteout=%d", !exists("u/upper"));
    show_list("root", "m");
    SHOW("create", mknod("m/file", S_IFREG | 0644, 0));
    struct stat info;
    stat("u/file", &info);
    say("regular=%d", S_ISREG(info.st_mode));
}

CHECK(overlay_38_a_directory_made_again_is_opaque) {
    char value[16] = "";
    overlay(some_files);
    SHOW("not-empty", rmdir("m/dir"));
    unlink("m/dir/a"), unlink("m/dir/b"), unlink("m/dir/c");
    SHOW("rmdir", rmdir("m/dir"));
    say("whiteout=%d", is_whiteout("u/dir"));
    SHOW("mkdir", mkdir("m/dir", 0755));
    show_list("dir", "m/dir");
    SHOW("xattr", getxattr("u/dir", "trusted.overlay.opaque", value, sizeof value));
    say("value=%s", value);
    SHOW("hidden", getxattr("m/dir", "trusted.overlay.opaque", value, sizeof value));
}

static void marked_lower(void) {
    some_files();
    mkdir("l2", 0755), mkdir("l2/dir", 0755), mkdir("l2/opaque", 0755);
    text_of("l2/dir/below", ""), text_of("l2/opaque/below", ""), text_of("l2/gone", "");
    mkdir("l/opaque", 0755);
    text_of("l/opaque/above", "");
    MUST(setxattr("l/opaque", "trusted.overlay.opaque", "y", 1, 0));
    MUST(mknod("l/gone", S_IFCHR, makedev(0, 0)));
}
CHECK(overlay_38_whiteouts_and_opaque_folders_of_images) {
    own_mounts();
    for (const char *name = "luwm"; *name; name++) mkdir((char[]){*name, 0}, 0755);
    marked_lower();
    MUST(mount("overlay", "m", "overlay", 0, "lowerdir=l:l2,upperdir=u,workdir=w"));
    SHOW("gone", access("m/gone", F_OK));
    show_list("opaque", "m/opaque");
    show_list("dir", "m/dir");
    show_list("root", "m");
}

CHECK(overlay_39_rename_of_a_lower_directory) {
    overlay(some_files);
    SHOW("rename", rename("m/dir", "m/moved"));
    mkdir("m/pure", 0755);
    SHOW("upper-only", rename("m/pure", "m/moved"));
    SHOW("file", rename("m/file", "m/moved/file"));
    say("whiteout=%d", is_whiteout("u/file"));
    show_file("text", "m/moved/file");
    SHOW("onto", rename("m/upper", "m/dir/b"));
    show_file("b", "m/dir/b");
}

CHECK(overlay_39_open_for_writing_copies_up) {
    overlay(some_files);
    int fd = open("m/file", O_RDONLY);
    say("read=%d", exists("u/file"));
    close(fd);
    fd = open("m/file", O_RDWR);
    say("write=%d", exists("u/file"));
    struct stat info;
    stat("u/file", &info);
    say("mode=%o owner=%d/%d", info.st_mode & 07777, info.st_uid, info.st_gid);
    show_file("text", "u/file");
    SHOW("append", pwrite(fd, "!", 1, 5));
    show_file("merged", "m/file");
    show_file("lower", "l/file");
}

CHECK(overlay_39_chmod_and_others_copy_up) {
    overlay(some_files);
    SHOW("chmod", chmod("m/file", 0600));
    say("copied=%d", exists("u/file"));
    SHOW("chown-dir", chown("m/dir/b", 5, 5));
    say("copied=%d", exists("u/dir/b"));
    OK("truncate", truncate("m/dir/b", 0));
    struct stat info;
    stat("l/file", &info);
    say("lower=%o", info.st_mode & 07777);
    SHOW("symlink-chown", lchown("m/link", 7, 7));
    say("link=%d", exists("u/link"));
    SHOW("xattr", setxattr("m/file", "user.x", "1", 1, 0));
}

static void hard_links(void) {
    text_of("l/one", "linked");
    MUST(link("l/one", "l/two"));
}
CHECK(overlay_39_copy_up_breaks_hard_links) {
    overlay(hard_links);
    struct stat one, two;
    stat("m/one", &one), stat("m/two", &two);
    say("links=%d same=%d", (int)one.st_nlink, one.st_ino == two.st_ino);
    text_of("m/one", "changed");
    show_file("two", "m/two");
    stat("m/one", &one), stat("m/two", &two);
    say("links=%d,%d same=%d", (int)one.st_nlink, (int)two.st_nlink, one.st_ino == two.st_ino);
}

CHECK(overlay_39_hard_links_of_the_upper_layer) {
    overlay(some_files);
    SHOW("link", link("m/file", "m/second"));
    say("copied=%d both=%d", exists("u/file"), same_file("u/file", "u/second"));
    text_of("m/second", "new");
    show_file("first", "m/file");
    struct stat info;
    stat("m/file", &info);
    say("links=%d", (int)info.st_nlink);
}

CHECK(overlay_40_descriptor_opened_before_a_copy_up) {
    overlay(some_files);
    char text[32] = "";
    int fd = open("m/file", O_RDONLY);
    char *map = mmap(0, 4096, PROT_READ, MAP_SHARED, fd, 0);
    say("map=%.5s", map);
    text_of("m/file", "upper text");
    SHOW("pread", pread(fd, text, sizeof text - 1, 0));
    show_text("text", text);
    struct stat old, new;
    fstat(fd, &old), stat("m/file", &new);
    say("size=%ld same=%d", (long)old.st_size, old.st_ino == new.st_ino);
    say("map=%.5s", map);
}

CHECK(overlay_upper_kinds) {
    overlay(some_files);
    SHOW("mkdir", mkdir("m/new", 0700));
    SHOW("deep", mkdir("m/new/deep", 0755));
    SHOW("fifo", mknod("m/fifo", S_IFIFO | 0644, 0));
    SHOW("symlink", symlink("target", "m/soft"));
    SHOW("whiteout-refused", mknod("m/char", S_IFCHR, makedev(0, 0)));
    show_list("upper", "u");
    show_list("lower", "l");
}

CHECK(overlay_read_only_without_upper) {
    own_mounts();
    for (const char *name = "luwm"; *name; name++) mkdir((char[]){*name, 0}, 0755);
    some_files();
    SHOW("one-lower", mount("overlay", "m", "overlay", 0, "lowerdir=l"));
    SHOW("two-lower", mount("overlay", "m", "overlay", 0, "lowerdir=u:l"));
    show_file("a", "m/dir/a");
    OPENS("write", open("m/file", O_WRONLY));
    SHOW("mkdir", mkdir("m/x", 0755));
    struct statfs info;
    statfs("m", &info);
    say("type=%lx", (long)info.f_type);
}

CHECK(overlay_mount_errors) {
    own_mounts();
    for (const char *name = "luwm"; *name; name++) mkdir((char[]){*name, 0}, 0755);
    mkdir("u/in", 0755);
    SHOW("no-lower", mount("overlay", "m", "overlay", 0, "upperdir=u,workdir=w"));
    SHOW("no-work", mount("overlay", "m", "overlay", 0, "lowerdir=l,upperdir=u"));
    SHOW("missing", mount("overlay", "m", "overlay", 0, "lowerdir=none,upperdir=u,workdir=w"));
    SHOW("work-is-upper", mount("overlay", "m", "overlay", 0, "lowerdir=l,upperdir=u,workdir=u"));
    SHOW("work-in-upper", mount("overlay", "m", "overlay", 0, "lowerdir=l,upperdir=u,workdir=u/in"));
    SHOW("option", mount("overlay", "m", "overlay", 0, "lowerdir=l,nosuch=1"));
    SHOW("nothing", mount("overlay", "m", "overlay", 0, 0));
    mkdir("other", 0755);
    MUST(mount("probe", "other", "tmpfs", 0, 0));
    mkdir("other/w", 0755);
    SHOW("work-elsewhere", mount("overlay", "m", "overlay", 0, "lowerdir=l,upperdir=u,workdir=other/w"));
}

CHECK(overlay_in_a_user_namespace) {
    own_mounts();
    for (const char *name = "luwm"; *name; name++) mkdir((char[]){*name, 0}, 0755);
    chmod(".", 0777);
    some_files();
    RUN({
        enter_user_namespace();
        MUST(unshare(CLONE_NEWNS));
        SHOW("mount", mount("overlay", "m", "overlay", 0, "lowerdir=l,upperdir=u,workdir=w,userxattr"));
        SHOW("unlink", unlink("m/dir/b"));
        say("whiteout=%d", is_whiteout("u/dir/b"));
    });
}

CHECK(overlay_device_numbers_and_mount_text) {
    overlay(some_files);
    FILE *file = fopen("/proc/self/mounts", "r");
    char line[512], type[32], options[256];
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "%*s /tmp/m %31s %255s", type, options) == 2) say("%s %.*s", type, (int)(strchr(options, 'w') ? strcspn(options, ",") : 0), options);
    struct stat file_info, folder_info;
    stat("m/file", &file_info), stat("m/dir", &folder_info);
    say("same-device=%d", file_info.st_dev == folder_info.st_dev);
}

CHECK(overlay_removed_while_open) {
    overlay(some_files);
    char text[16] = "";
    int fd = open("m/file", O_RDONLY);
    unlink("m/file");
    SHOW("read", read(fd, text, sizeof text - 1));
    int folder = open("m/dir", O_RDONLY | O_DIRECTORY);
    unlink("m/dir/a"), unlink("m/dir/b"), unlink("m/dir/c"), rmdir("m/dir");
    OPENS("in-removed", openat(folder, "x", O_CREAT | O_RDWR, 0644));
}

CHECK(overlay_nested_lower_is_an_overlay) {
    overlay(some_files);
    unlink("m/file");
    mkdir("u2", 0755), mkdir("w2", 0755), mkdir("m2", 0755);
    SHOW("mount", mount("overlay", "m2", "overlay", 0, "lowerdir=m,upperdir=u2,workdir=w2"));
    SHOW("gone", access("m2/file", F_OK));
    SHOW("unlink", unlink("m2/dir/a"));
    say("whiteout=%d below=%d", is_whiteout("u2/dir/a"), exists("m/dir/a"));
}
