var e=({e,find:t,i:a},i,n,{eventID:s,pixelIds:d,userData:f,signature:p}={})=>{const r=t(e(i,n,s,d,f,p),i,d?.[0]);r&&(r.event.pixel={state:"off",evidence:"page"},r.c=!0,a())};export{e as default};
