// The two hooks of Next's that next.js uses, so that its types can be made without Next.
declare module 'next/navigation' {
  export function usePathname(): string | null;
  export function useSearchParams(): { toString(): string } | null;
}
