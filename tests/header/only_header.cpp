// Includes only the C++ header, twice. Compiled, never run.

#include "tu_token.hpp"
#include "tu_token.hpp"

int main()
{
    return 0;
}
