module tutoken.example/tutoken

go 1.24
