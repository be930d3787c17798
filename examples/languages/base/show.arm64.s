// show FILE...: write files to standard output. Exit status 1 for a file that is missing or empty.
//   aarch64-linux-gnu-as -o show.o show.arm64.s
//   aarch64-linux-gnu-ld -s -z noseparate-code --build-id=none -o show.arm64 show.o
        .globl  _start
_start: mov     x19, sp
        sub     sp, sp, 4096            // the buffer
next:   add     x19, x19, 8             // the next word of argv; the first one is the program
        ldr     x1, [x19, 8]
        cbz     x1, done                // argv ends with 0
        mov     x0, -100                // openat(AT_FDCWD, file, O_RDONLY)
        mov     x2, 0
        mov     x8, 56
        svc     0
        tbnz    x0, 63, fail
        mov     x20, x0
        mov     x21, 0                  // bytes written of this file
copy:   mov     x0, x20
        mov     x1, sp
        mov     x2, 4096
        mov     x8, 63                  // read(descriptor, buffer, 4096)
        svc     0
        tbnz    x0, 63, fail
        cbz     x0, end
        mov     x2, x0
        mov     x0, 1
        mov     x1, sp
        mov     x8, 64                  // write(1, buffer, count)
        svc     0
        cmp     x0, 0
        b.le    fail
        add     x21, x21, x0
        b       copy
end:    cbnz    x21, next
fail:   mov     x1, 1
done:   mov     x0, x1                  // exit(status)
        mov     x8, 93
        svc     0
