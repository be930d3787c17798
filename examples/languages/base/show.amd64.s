# show FILE...: write files to standard output. Exit status 1 for a file that is missing or empty.
#   as -o show.o show.amd64.s && ld -s -z noseparate-code --build-id=none -o show.amd64 show.o
        .globl  _start
_start: mov     %rsp, %r12
        sub     $4096, %rsp             # the buffer
next:   add     $8, %r12                # the next word of argv; the first one is the program
        mov     8(%r12), %rdi
        test    %rdi, %rdi
        jz      done                    # argv ends with 0; rdi is then the exit status
        xor     %esi, %esi
        mov     $2, %eax                # open(file, O_RDONLY)
        syscall
        test    %eax, %eax
        js      fail
        mov     %eax, %r13d
        xor     %r14d, %r14d            # bytes written of this file
copy:   mov     %r13d, %edi
        mov     %rsp, %rsi
        mov     $4096, %edx
        xor     %eax, %eax              # read(descriptor, buffer, 4096)
        syscall
        test    %eax, %eax
        js      fail
        jz      end
        mov     $1, %edi
        mov     %rsp, %rsi
        mov     %eax, %edx
        mov     $1, %eax                # write(1, buffer, count)
        syscall
        test    %eax, %eax
        jle     fail
        add     %eax, %r14d
        jmp     copy
end:    test    %r14d, %r14d
        jnz     next
fail:   mov     $1, %edi
done:   mov     $60, %eax               # exit(status)
        syscall
