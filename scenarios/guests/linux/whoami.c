// Who am I? What a process sees of itself and of its surroundings, by plain Linux calls (glibc, static).
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(void) {
    char host[65] = "?", folder[256] = "?";
    gethostname(host, sizeof host);
    if (!getcwd(folder, sizeof folder)) folder[0] = 0;
    printf("pid %d, parent %d, host %s, in %s\n", getpid(), getppid(), host, folder);
    DIR *root = opendir("/");
    if (!root) return perror("/"), 1;
    int count = 0;
    for (struct dirent *entry; (entry = readdir(root));)
        if (entry->d_name[0] != '.') printf("%s/%s", count++ ? ", " : "the root holds: ", entry->d_name);
    printf("\n");
    closedir(root);
    return 0;
}
